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
		Resolvers: s.networks("resolvers", s.opened, "packets do not say who asks: without the resolver's addresses, "+
			"its queries to servers cannot be distinguished from its clients' queries"),

		Promiscuous:    s.readFlag("promiscuous"),
		Decapsulate:    s.readFlag("decapsulate"),
		VerifyChecksum: s.readFlag("verify_checksum"),

		Ring:  int(s.readSize("ring")),
		Lanes: int(s.readNumber("lanes")),
	}
	c.When = readText(s, "when", parseWhen)
	if s.says("when", "always") {
		s.doesNotApply(`only when = "idle" waits for dnstap to fall silent`, "idle_after")
	} else {
		c.IdleAfter = s.readDuration("idle_after")
	}
	s.tunnels(&c)
	if set := s.settings["promiscuous"]; c.Promiscuous && slices.Contains(c.Interfaces, anyInterface) {
		s.fail(set.at, "promiscuous: any cannot be so", "Name the interfaces.")
	}
	if set := s.settings["lanes"]; c.Decapsulate && c.Lanes > 1 {
		s.refuse(set, set.at, "with decapsulate there is one: packets are shared out by their addresses, and a tunnel's "+
			"say nothing of those inside, so that fragments and their query would not come together")
	}
	return c
}

// longestInterface is what struct ifreq holds of a name before its final zero.
const longestInterface = 15

// interfaces returns what stands in one of two attributes, and takes the other out.
func (s *section) interfaces() []string {
	if !s.isWritten("interface") {
		delete(s.settings, "interface")
		return s.interfaceList()
	}
	name := readText(s, "interface", parseInterface)
	if s.isWritten("interfaces") {
		s.fail(s.settings["interfaces"].at, "interfaces: interface names one already", "Write one or the other.")
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
			return "", errors.New("it stands there twice")
		}
		before = append(before, v)
		return parseInterface(v)
	})
	if set := s.settings["interfaces"]; len(names) > 1 && slices.Contains(names, anyInterface) {
		s.refuse(set, set.at, "any stands for all interfaces, so that no other can stand beside it")
	}
	return names
}

// anyInterface captures on all there are.
const anyInterface = "any"

// parseInterface reads a name that the kernel could give an interface.
func parseInterface(v string) (string, error) {
	switch {
	case v == "":
		return "", errors.New("the name is empty")
	case len(v) > longestInterface:
		return "", fmt.Errorf("the name has %d bytes; an interface's may have %d", len(v), longestInterface)
	case v == "." || v == ".." || hasControl(v) || strings.Contains(v, "/") || strings.ContainsFunc(v, unicode.IsSpace):
		return "", errors.New("no interface has such a name")
	}
	return v, nil
}

// networks returns the elements of a list that must hold one. block is the place of
// the error if the list was left out; why says what it is needed for.
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

// tunnels reads where the tunnels come from that are opened, and where they end.
func (s *section) tunnels(c *pcap.Config) {
	if !c.Decapsulate {
		s.doesNotApply("only decapsulate = true opens tunnels", "decapsulate_from", "decapsulate_to")
		return
	}
	c.DecapsulateFrom = s.networks("decapsulate_from", s.settings["decapsulate"].at,
		"without it every host that can send a packet past the interface could write records")
	c.DecapsulateTo = readList(s, "decapsulate_to", parseResolverNetwork)
}

// ParseResolvers reads the addresses or prefixes of a comma-separated list as the
// attribute resolvers of a pcap source reads its elements.
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
		return netip.Prefix{}, errors.New("the unspecified address is nobody's")
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
	return 0, errors.New("neither")
}

// packetSource is a source of packets, and what it comes to.
type packetSource struct {
	*section
	config pcap.Config
}

// warnOfPackets says of what would leave twice, and of what dnstap would have to
// end and does not.
func warnOfPackets(sources []packetSource, dnstap bool) {
	for i, s := range sources {
		switch {
		case s.says("when", "always") && dnstap:
			s.warn(s.valueOr("when", s.opened), "when: captures beside a dnstap source",
				`Of a resolver that both tell of, every record leaves twice: set when = "idle", unless they are different resolvers.`)
		case s.says("when", "idle") && !dnstap:
			s.warn(s.valueOr("when", s.opened), "when: there is no dnstap source to wait for",
				`Capture would begin after idle_after and never end: set when = "always", or add the dnstap source.`)
		}
		for _, other := range sources[:i] {
			if sharePackets(s.config, other.config) {
				s.warn(s.valueOr("resolvers", s.opened), "resolvers: another source captures theirs on the same interface",
					fmt.Sprintf("The other is at %s; each record leaves twice.", location(other.opened)))
			}
		}
	}
}

// says reports whether an attribute has this text, which may be no good.
func (s *section) says(name, text string) bool {
	set := s.settings[name]
	return set.value != cty.NilVal && set.value.AsString() == text
}

// valueOr returns where an attribute's value stands, or block if it was left out.
func (s *section) valueOr(name string, block hcl.Range) hcl.Range {
	if s.isWritten(name) {
		return s.settings[name].at
	}
	return block
}

// sharePackets reports whether a packet may come to both.
func sharePackets(a, b pcap.Config) bool {
	return slices.ContainsFunc(a.Interfaces, func(name string) bool {
		return slices.Contains(b.Interfaces, name) || len(b.Interfaces) > 0 && name == anyInterface ||
			slices.Contains(b.Interfaces, anyInterface)
	}) && slices.ContainsFunc(a.Resolvers, func(p netip.Prefix) bool {
		return slices.ContainsFunc(b.Resolvers, p.Overlaps)
	})
}
