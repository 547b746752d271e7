package census

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

const (
	maxRRsets = 1 << 21 // different ones that a Gate counts
	maxGate   = 4       // sources that a gate can require at most
)

// A Gate counts the RRsets that several sensors report, by how many of them report each. It shows what
// would leave through a gate, and what not.
type Gate struct {
	rrsets    map[uint64]*[maxGate]uint32 // sources; 0: none yet
	domains   map[uint64]int              // most sources of an RRset of the registered domain
	addresses map[uint64]int              // the same of an address
	sources   map[uint32]bool

	noSource uint64 // RRsets without a source
	notTaken uint64 // RRsets that came when there were maxRRsets
}

// NewGate returns an empty Gate.
func NewGate() *Gate {
	return &Gate{rrsets: map[uint64]*[maxGate]uint32{}, domains: map[uint64]int{}, addresses: map[uint64]int{}, sources: map[uint32]bool{}}
}

// RRset counts an RRset that a source reports; the id 0 does not count as one. identity is what makes it different from
// others, domain its registered domain, and addresses the data of A and AAAA records.
func (g *Gate) RRset(source uint32, identity, domain []byte, addresses [][]byte) {
	if source == 0 {
		g.noSource++
		return
	}
	key := hashOf(identity)
	by := g.rrsets[key]
	if by == nil {
		if len(g.rrsets) == maxRRsets {
			g.notTaken++
			return
		}
		by = new([maxGate]uint32)
		g.rrsets[key] = by
	}
	if len(g.sources) < maxRRsets {
		g.sources[source] = true
	}
	if i := slices.Index(by[:], 0); i >= 0 && !slices.Contains(by[:i], source) {
		by[i] = source
	}
	n := numSources(by)
	if len(domain) > 0 {
		raise(g.domains, domain, n)
	}
	for _, a := range addresses {
		raise(g.addresses, a, n)
	}
}

func numSources(by *[maxGate]uint32) int {
	if i := slices.Index(by[:], 0); i >= 0 {
		return i
	}
	return maxGate
}

func raise(most map[uint64]int, of []byte, n int) {
	h := hashOf(of)
	if known, has := most[h]; has || len(most) < 2*maxRRsets {
		most[h] = max(known, n)
	}
}

func hashOf(b []byte) uint64 {
	sum := sha256.Sum256(b)
	return binary.BigEndian.Uint64(sum[:])
}

// A GateReport is the counts of a Gate. As JSON the names below are stable.
//
//	{"sources", "rrsets", "domains", "addresses", "without_source", "not_taken",
//	 "gates": [{"sources", "rrsets_held", "domains_held", "addresses_held"}]}
//
// Domains are registered domains, and addresses those in A and AAAA data. A domain or an address is held if
// every RRset that has it is held.
type GateReport struct {
	Sources       uint64       `json:"sources"`
	RRsets        uint64       `json:"rrsets"`
	Domains       uint64       `json:"domains"`
	Addresses     uint64       `json:"addresses"`
	WithoutSource uint64       `json:"without_source"` // RRsets that were not counted
	NotTaken      uint64       `json:"not_taken"`      // the same, because there were too many
	Gates         []GateCounts `json:"gates"`
}

// GateCounts is what a gate that requires this many sources would hold back.
type GateCounts struct {
	Sources       int    `json:"sources"`
	RRsetsHeld    uint64 `json:"rrsets_held"`
	DomainsHeld   uint64 `json:"domains_held"`
	AddressesHeld uint64 `json:"addresses_held"`
}

// Report returns the counts.
func (g *Gate) Report() *GateReport {
	r := &GateReport{
		Sources: uint64(len(g.sources)), RRsets: uint64(len(g.rrsets)), Domains: uint64(len(g.domains)), Addresses: uint64(len(g.addresses)),
		WithoutSource: g.noSource, NotTaken: g.notTaken,
	}
	for n := 2; n <= maxGate; n++ {
		c := GateCounts{Sources: n, DomainsHeld: below(g.domains, n), AddressesHeld: below(g.addresses, n)}
		for _, by := range g.rrsets {
			if numSources(by) < n {
				c.RRsetsHeld++
			}
		}
		r.Gates = append(r.Gates, c)
	}
	return r
}

func below(most map[uint64]int, n int) (held uint64) {
	for _, by := range most {
		if by < n {
			held++
		}
	}
	return held
}

// Text returns the report for people.
func (r *GateReport) Text() string {
	var b strings.Builder
	b.WriteString("WHAT A GATE (release) WOULD HOLD BACK\n")
	if r.WithoutSource > 0 {
		fmt.Fprintf(&b, "%d RRsets have no NMSG source id and were not counted: a gate does not count them either. Set source in each sensor.\n", r.WithoutSource)
	}
	if r.NotTaken > 0 {
		fmt.Fprintf(&b, "%d RRsets were not counted, because %d different ones came before them.\n", r.NotTaken, r.RRsets)
	}
	if r.Sources < 2 {
		fmt.Fprintf(&b, "A gate cannot be judged: the input has RRsets of %d sources. Give the files of several sensors with different source ids.\n", r.Sources)
		return b.String()
	}
	fmt.Fprintf(&b, "%d sources reported %d different RRsets, with %d registered domains and %d different addresses in A and AAAA data.\n\n",
		r.Sources, r.RRsets, r.Domains, r.Addresses)
	fmt.Fprintf(&b, "%-10s %24s %24s %24s\n", "sources", "RRsets held back", "domains lost", "addresses lost")
	for _, c := range r.Gates {
		fmt.Fprintf(&b, "%-10d %24s %24s %24s\n", c.Sources, of(c.RRsetsHeld, r.RRsets), of(c.DomainsHeld, r.Domains), of(c.AddressesHeld, r.Addresses))
	}
	return b.String()
}

// of returns a number and its share of all.
func of(n, all uint64) string { return fmt.Sprintf("%d (%.1f %%)", n, 100*share(n, all)) }
