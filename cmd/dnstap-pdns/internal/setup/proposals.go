package setup

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"

	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// maxProposals is the number of zones of a resolver above which they are probably a list of
// names to block, and none is proposed.
const maxProposals = 100

// A Machine is the source of proposals. Its functions return "" for what does not exist.
type Machine struct {
	Hostname string
	Read     func(path string) string
	Glob     func(pattern string) []string
	Output   func(ctx context.Context, program string, args ...string) string
}

// ThisMachine is the machine on which the program runs.
func ThisMachine() Machine {
	name, err := os.Hostname()
	if err != nil {
		name = ""
	}
	return Machine{Hostname: name, Read: readText, Glob: glob, Output: outputOf}
}

// A proposer collects proposals.
type proposer struct {
	names, networks []conf.Proposal
}

// Proposals returns values for scrub.local_names and scrub.local_networks: the domain of the
// host, and the zones that the resolver answers itself or forwards.
func Proposals(ctx context.Context, chosen conf.Setup, m Machine) (names, networks []conf.Proposal) {
	var p proposer
	for _, domain := range m.domains() {
		p.add(domain)
	}
	var zones []conf.Proposal
	switch chosen.Name {
	case "unbound":
		zones = unboundZones(m)
	case "bind":
		zones = bindZones(m.Output(ctx, "named-checkconf", "-p"))
	}
	if len(zones) <= maxProposals {
		for _, zone := range zones {
			p.add(zone)
		}
	}
	return p.names, p.networks
}

// domains returns the search list and the domain of the host's name.
func (m Machine) domains() (all []conf.Proposal) {
	for line := range strings.Lines(m.Read("/etc/resolv.conf")) {
		fields := strings.Fields(line)
		if len(fields) > 1 && (fields[0] == "search" || fields[0] == "domain") {
			for _, domain := range fields[1:] {
				all = append(all, conf.Proposal{Value: domain, From: "/etc/resolv.conf"})
			}
		}
	}
	if _, domain, ok := strings.Cut(m.Hostname, "."); ok {
		all = append(all, conf.Proposal{Value: domain, From: "the name of this host"})
	}
	for line := range strings.Lines(m.Read("/etc/hosts")) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) < 2 || m.Hostname == "" || !slices.Contains(fields[1:], m.Hostname) {
			continue
		}
		if _, domain, ok := strings.Cut(fields[1], "."); ok {
			all = append(all, conf.Proposal{Value: domain, From: "/etc/hosts"})
		}
	}
	return all
}

// add adds a domain or a reverse zone, unless it belongs to others or is not public.
func (p *proposer) add(zone conf.Proposal) {
	name, err := transform.ParseLocalName(strings.ToLower(zone.Value))
	if err != nil || !strings.Contains(name, ".") {
		return
	}
	if network, ok := reverseNetwork(name); ok {
		if isOwn(network) {
			addProposal(&p.networks, conf.Proposal{Value: network.String(), From: zone.From})
		}
		return
	}
	suffix, _ := publicsuffix.PublicSuffix(name)
	if suffix != name && !strings.HasSuffix(name, ".arpa") {
		addProposal(&p.names, conf.Proposal{Value: name, From: zone.From})
	}
}

func addProposal(all *[]conf.Proposal, p conf.Proposal) {
	if !slices.ContainsFunc(*all, func(have conf.Proposal) bool { return have.Value == p.Value }) {
		*all = append(*all, p)
	}
}

// reverseNetwork returns the network of a reverse zone.
func reverseNetwork(name string) (netip.Prefix, bool) {
	if rest, ok := strings.CutSuffix(name, ".in-addr.arpa"); ok {
		return network(strings.Split(rest, "."), 10, 8, make([]byte, 4))
	}
	if rest, ok := strings.CutSuffix(name, ".ip6.arpa"); ok {
		return network(strings.Split(rest, "."), 16, 4, make([]byte, 16))
	}
	return netip.Prefix{}, false
}

// network returns the network of labels in reverse order, each of which is a number of some bits.
func network(labels []string, base, bits int, addr []byte) (netip.Prefix, bool) {
	slices.Reverse(labels)
	if len(labels)*bits > len(addr)*8 {
		return netip.Prefix{}, false
	}
	for i, label := range labels {
		n, err := strconv.ParseUint(label, base, bits)
		if err != nil {
			return netip.Prefix{}, false
		}
		at := i * bits
		addr[at/8] |= byte(n) << (8 - bits - at%8)
	}
	ip, _ := netip.AddrFromSlice(addr)
	return netip.PrefixFrom(ip, len(labels)*bits), true
}

// locallyServed are the networks of the zones of RFC 6303 and RFC 7793, which every resolver
// answers itself. Reserved and multicast addresses are in no organisation's network either.
var locallyServed = []string{
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.2.0/24", "192.168.0.0/16",
	"198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
	"::/16", "2001:db8::/32", "fd00::/8", "fe80::/10", "ff00::/8",
}

// isOwn reports whether a network may be the network of one organisation.
func isOwn(n netip.Prefix) bool {
	shortest := 16
	if n.Addr().Is4() {
		shortest = 8
	}
	return n.Bits() >= shortest && !slices.ContainsFunc(locallyServed, func(p string) bool { return netip.MustParsePrefix(p).Overlaps(n) })
}

// glob returns the files that match a pattern, sorted.
func glob(pattern string) []string {
	all, err := filepath.Glob(pattern)
	if err != nil {
		return nil
	}
	return all
}

func readText(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return "" // proposals are optional
	}
	return string(text)
}

// outputTime is the limit of a program that prints a configuration.
const outputTime = 10 * time.Second

func outputOf(ctx context.Context, program string, args ...string) string {
	ctx, cancel := context.WithTimeout(ctx, outputTime)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, args...).Output()
	if err != nil {
		return ""
	}
	return string(out)
}
