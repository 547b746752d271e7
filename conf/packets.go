package conf

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap"
)

func (s *section) pcapSource() pcap.Config {
	c := pcap.Config{
		Name:       s.name,
		Interfaces: s.interfaces(),
		Resolvers: s.networks("resolvers", s.header, "without the resolver's addresses, "+
			"its queries to servers cannot be distinguished from its clients' queries"),

		Promiscuous:    s.readFlag("promiscuous"),
		Decapsulate:    s.readFlag("decapsulate"),
		VerifyChecksum: s.readFlag("verify_checksum"),

		Ring:  int(s.readSize("ring")),
		Lanes: int(s.readNumber("lanes")),
	}
	c.When = readText(s, "when", parseWhen)
	if s.hasText("when", "always") {
		s.doesNotApply(`it applies only with when = "idle"`, "idle_after")
	} else {
		c.IdleAfter = s.readDuration("idle_after")
	}
	s.tunnels(&c)
	if set := s.settings["promiscuous"]; c.Promiscuous && slices.Contains(c.Interfaces, anyInterface) {
		s.fail(set.at, "promiscuous: the interface any cannot be promiscuous", "Name the interfaces.")
	}
	if set := s.settings["lanes"]; c.Decapsulate && c.Lanes > 1 {
		s.refuse(set, set.at, "decapsulate allows one lane only: the kernel divides packets among lanes by their outer addresses, "+
			"so related packets of a tunnel could reach different lanes")
	}
	return c
}

// longestInterface is the length of ifr_name in struct ifreq without its final zero.
const longestInterface = 15

// interfaces reads the attribute interface or interfaces, and removes the unused one
// from the section.
func (s *section) interfaces() []string {
	if !s.isWritten("interface") {
		delete(s.settings, "interface")
		return s.interfaceList()
	}
	name := readText(s, "interface", parseInterface)
	if s.isWritten("interfaces") {
		s.fail(s.settings["interfaces"].at, "interfaces: the attribute interface is set too", "Remove one of them.")
	}
	delete(s.settings, "interfaces")
	if name == "" {
		return nil
	}
	return []string{name}
}

func (s *section) interfaceList() []string {
	var before []string
	names := readList(s, "interfaces", func(v string) (string, error) {
		if slices.Contains(before, v) {
			return "", errors.New("the list contains it twice")
		}
		before = append(before, v)
		return parseInterface(v)
	})
	if set := s.settings["interfaces"]; len(names) > 1 && slices.Contains(names, anyInterface) {
		s.refuse(set, set.at, "any means all interfaces: no other may be in the list")
	}
	return names
}

// anyInterface is the name for all interfaces.
const anyInterface = "any"

// parseInterface reads a name that an interface can have; it need not exist.
func parseInterface(v string) (string, error) {
	switch {
	case v == "":
		return "", errors.New("the name is empty")
	case len(v) > longestInterface:
		return "", fmt.Errorf("the name has %d bytes; at most %d are allowed", len(v), longestInterface)
	case v == "." || v == ".." || hasControl(v) || strings.Contains(v, "/") || strings.ContainsFunc(v, unicode.IsSpace):
		return "", errors.New("not a valid interface name")
	}
	return v, nil
}

// networks returns the elements of a list that must not be empty. block is the
// position of the error if the attribute is absent; why is the reason in the error.
func (s *section) networks(name string, block hcl.Range, why string) []netip.Prefix {
	set := s.settings[name]
	all := readList(s, name, parseResolverNetwork)
	switch {
	case !s.isWritten(name):
		s.refuse(set, block, why)
	case set.value != cty.NilVal && set.value.LengthInt() == 0:
		s.refuse(set, set.at, why)
	}
	return all
}

// tunnels reads the source and destination addresses of the tunnels to open.
func (s *section) tunnels(c *pcap.Config) {
	if !c.Decapsulate {
		s.doesNotApply("it applies only with decapsulate = true", "decapsulate_from", "decapsulate_to", "vxlan_ports")
		return
	}
	c.DecapsulateFrom = s.networks("decapsulate_from", s.settings["decapsulate"].at,
		"without it, any host that can send a packet past the interface could inject records")
	c.DecapsulateTo = readList(s, "decapsulate_to", parseResolverNetwork)
	for _, port := range s.readNumbers("vxlan_ports", checkVXLANPort) {
		c.VXLANPorts = append(c.VXLANPorts, uint16(port))
	}
	if set := s.settings["vxlan_ports"]; set.value != cty.NilVal && (set.value.LengthInt() == 0 || set.value.LengthInt() > maxVXLANPorts) {
		s.refuse(set, set.at, fmt.Sprintf("the list has %d elements", set.value.LengthInt()))
	}
}

// maxVXLANPorts keeps the kernel's filter short.
const maxVXLANPorts = 16

func checkVXLANPort(port int64) error {
	switch port {
	case 53:
		return errors.New("port 53 is that of DNS")
	case 6081:
		return errors.New("port 6081 is that of GENEVE, which is read without being named")
	}
	return nil
}

// ParseResolvers reads a comma-separated list of addresses or prefixes. An element
// has the form of an element of the attribute resolvers of a pcap source.
func ParseResolvers(list string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for v := range strings.SplitSeq(list, ",") {
		p, err := parseResolverNetwork(strings.TrimSpace(v))
		if err != nil {
			return nil, fmt.Errorf("%q: %w", v, err)
		}
		all = append(all, p)
	}
	return all, nil
}

func parseResolverNetwork(v string) (netip.Prefix, error) {
	p, err := parseNetwork(v)
	switch {
	case err != nil:
	case p.Bits() == 0:
		return netip.Prefix{}, errors.New("every address is inside, those of servers and clients too")
	case p.Addr().IsUnspecified():
		return netip.Prefix{}, errors.New("the unspecified address identifies no host")
	}
	return p, err
}

func parseWhen(v string) (pcap.When, error) {
	switch v {
	case "always":
		return pcap.Always, nil
	case "idle":
		return pcap.Idle, nil
	}
	return 0, errors.New("unknown value")
}

// packetSource is a pcap source: its section and its configuration.
type packetSource struct {
	*section
	config pcap.Config
}

// warnOfSources warns of packet sources whose records may leave twice, and of those that
// wait for a dnstap source although there is none. dnstap is true if there is one.
func warnOfSources(sources []packetSource, dnstap bool) {
	for i, s := range sources {
		switch {
		case s.hasText("when", "always") && dnstap:
			s.warn(captureTwice, s.valueOr("when", s.header), "when: captures in addition to a dnstap source",
				`If both see the same resolver, every record leaves twice: set when = "idle", unless they are different resolvers.`)
		case s.hasText("when", "idle") && !dnstap:
			s.warn(captureUnended, s.valueOr("when", s.header), "when: there is no dnstap source to wait for",
				`Capture would begin after idle_after and never end: set when = "always", or add the dnstap source.`)
		}
		for _, other := range sources[:i] {
			if sharePackets(s.config, other.config) {
				s.warn(captureTwice, s.valueOr("resolvers", s.header), "resolvers: another source captures packets of the same resolver on the same interface",
					fmt.Sprintf("The other is at %s; each record leaves twice.", location(other.header)))
			}
		}
	}
}

// hasText reports whether the text of an attribute, valid or not, is text.
func (s *section) hasText(name, text string) bool {
	set := s.settings[name]
	return set.value != cty.NilVal && set.value.AsString() == text
}

// valueOr returns the range of an attribute's value, or block if it is absent.
func (s *section) valueOr(name string, block hcl.Range) hcl.Range {
	if s.isWritten(name) {
		return s.settings[name].at
	}
	return block
}

// sharePackets reports whether both sources may capture the same packet.
func sharePackets(a, b pcap.Config) bool {
	return slices.ContainsFunc(a.Interfaces, func(name string) bool {
		return slices.Contains(b.Interfaces, name) || len(b.Interfaces) > 0 && name == anyInterface ||
			slices.Contains(b.Interfaces, anyInterface)
	}) && slices.ContainsFunc(a.Resolvers, func(p netip.Prefix) bool {
		return slices.ContainsFunc(b.Resolvers, p.Overlaps)
	})
}
