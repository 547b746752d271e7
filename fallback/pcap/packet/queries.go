package packet

import (
	"cmp"
	"net/netip"
	"slices"
)

// maxSenders is how many addresses a TopSenders holds.
const maxSenders = 8

// A Sender is an address and how many packets it has sent.
type Sender struct {
	Addr    netip.Addr `json:"address"`
	Packets uint64     `json:"packets"`
}

// TopSenders counts the packets of the addresses that send most (Space-Saving), without allocation.
// A count may be too high if there are more than maxSenders addresses. The zero value is empty.
type TopSenders struct{ table [maxSenders]Sender }

// Add counts n packets of an address. If the table is full, the address replaces the one with the
// lowest count and inherits that count.
func (s *TopSenders) Add(a netip.Addr, n uint64) {
	least := 0
	for i := range s.table {
		switch at := &s.table[i]; {
		case at.Addr == a:
			at.Packets += n
			return
		case at.Packets < s.table[least].Packets:
			least = i
		}
	}
	s.table[least] = Sender{a, s.table[least].Packets + n}
}

func (s *TopSenders) merge(o *TopSenders) {
	for _, one := range o.table {
		if one.Packets > 0 {
			s.Add(one.Addr, one.Packets)
		}
	}
}

// All returns the addresses, the one with the highest count first.
func (s *TopSenders) All() []Sender {
	all := slices.DeleteFunc(slices.Clone(s.table[:]), func(one Sender) bool { return one.Packets == 0 })
	slices.SortFunc(all, func(a, b Sender) int {
		return cmp.Or(cmp.Compare(b.Packets, a.Packets), a.Addr.Compare(b.Addr))
	})
	return all
}

// QueryStats counts UDP queries to port 53 that are not outward, to find out whether Resolvers is
// wrong.
type QueryStats struct {
	Unlisted uint64     // without recursion desired, and no address is in Resolvers
	Clients  uint64     // with recursion desired
	Senders  TopSenders // of Unlisted
}

// noteQuery counts a UDP datagram to port 53 that is not outward. Nothing on loopback is counted,
// because it cannot be between a resolver and a server on the Internet.
func (d *Dissector) noteQuery(src, dst netip.AddrPort, wire []byte) {
	const atFlags, flagQR, flagRD = 2, 0x80, 0x01
	switch {
	case dst.Port() != portDNS || len(wire) <= atFlags || wire[atFlags]&flagQR != 0:
	case src.Addr().IsLoopback() || dst.Addr().IsLoopback():
	case wire[atFlags]&flagRD != 0:
		d.stats.Queries.Clients++
	case !d.resolvers.has(src.Addr()) && !d.resolvers.has(dst.Addr()):
		d.stats.Queries.Unlisted++
		d.stats.Queries.Senders.Add(src.Addr(), 1)
	}
}

func (s *QueryStats) add(o *QueryStats) {
	s.Unlisted += o.Unlisted
	s.Clients += o.Clients
	s.Senders.merge(&o.Senders)
}
