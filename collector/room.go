package collector

import (
	"cmp"
	"net/netip"
)

// A holder is who has a place: a user on a Unix socket; on TCP an IPv4 address, or
// an IPv6 network of 64 bits.
type holder struct {
	uid     uint32
	address netip.Addr
}

func (p Peer) holder() holder {
	a := p.Address.Addr().Unmap().WithZone("")
	if a.Is6() {
		network, _ := a.Prefix(64) // whoever has one address of it has them all
		a = network.Addr()
	}
	return holder{p.UID, a}
}

// standing is how much a connection has shown that it is a resolver's.
type standing uint8

const (
	shakingHands standing = iota
	untried               // it said START, and nothing outward yet
	proven                // it has brought something outward
)

// makeRoom reports whether there is a place for a newcomer, which may have been
// another's before. s.mu is held, but not while the other leaves.
func (s *Source) makeRoom(newcomer holder) bool {
	full := len(s.conns) >= s.config.MaxConnections
	switch {
	case full && !s.crowded:
		s.crowded = true
		s.log.Warn("too many connections: newcomers are refused, or take the place of a peer that has more",
			"max_connections", s.config.MaxConnections)
	case s.crowded && len(s.conns) <= s.config.MaxConnections/2: // one at the brink is no news
		s.crowded = false
		s.log.Info("connections are no longer refused")
	}
	if !full {
		return true
	}
	c := s.yielding(newcomer)
	if c == nil {
		return false
	}
	s.stats.Displaced++
	s.mu.Unlock()
	c.displace()
	s.mu.Lock()
	return true
}

// yielding returns the connection that has to go when all places are taken and a
// newcomer wants one; nil if the newcomer is refused. s.mu is held.
//
// A handshake yields to everybody but those who hold more places; what has said
// START yields to those who will hold no more even so. So nobody keeps others out
// by holding many, and nobody's last place goes to one who has another.
func (s *Source) yielding(newcomer holder) *conn {
	held := map[holder]int{}
	for c := range s.conns {
		held[c.holder]++
	}
	var first *conn
	var rank standing
	for c := range s.conns {
		is := c.standing()
		spare := held[c.holder] - held[newcomer]
		if spare < 0 || is != shakingHands && spare < 2 {
			continue
		}
		if first == nil || before(c, is, first, rank, held) {
			first, rank = c, is
		}
	}
	return first
}

// before orders those who might yield: handshakes first, then by how many places
// their holder has, by standing, and by age.
func before(a *conn, rankA standing, b *conn, rankB standing, held map[holder]int) bool {
	return cmp.Or(
		cmp.Compare(min(rankA, untried), min(rankB, untried)),
		cmp.Compare(held[b.holder], held[a.holder]),
		cmp.Compare(rankA, rankB),
		cmp.Compare(a.shown.Number, b.shown.Number),
	) < 0
}

// standing is asked for by others than the connection's goroutine.
func (c *conn) standing() standing {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !c.began:
		return shakingHands
	case c.shown.Outward == 0:
		return untried
	}
	return proven
}

// displace ends the connection for another's sake, and returns when it is over.
func (c *conn) displace() {
	c.displaced.Store(true)
	c.raw.Close()
	<-c.gone
}
