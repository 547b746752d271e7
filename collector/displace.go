package collector

import (
	"cmp"
	"net/netip"
)

// A holder is a peer whose connections are counted together: a user on a Unix socket; on TCP
// an IPv4 address, or an IPv6 network of 64 bits.
type holder struct {
	uid     uint32
	address netip.Addr
}

func (p Peer) holder() holder {
	a := p.Address.Addr().Unmap().WithZone("")
	if a.Is6() {
		network, _ := a.Prefix(64) // a host can use any address of its network
		a = network.Addr()
	}
	return holder{p.UID, a}
}

// makeRoom reports whether there is a place for a new connection of newcomer. It displaces
// another connection if MaxConnections are open. s.mu is held, except while that connection
// ends.
func (s *Source) makeRoom(newcomer holder) bool {
	full := len(s.conns) >= s.config.MaxConnections
	switch {
	case full && !s.limitLogged:
		s.limitLogged = true
		s.log.Warn("too many connections: new ones are refused, or displace one of a peer that has more",
			"max_connections", s.config.MaxConnections)
	case s.limitLogged && len(s.conns) <= s.config.MaxConnections/2: // not at each change near the limit
		s.limitLogged = false
		s.log.Info("connections are no longer refused")
	}
	if !full {
		return true
	}
	c := s.displaceable(newcomer)
	if c == nil {
		return false
	}
	s.stats.Displaced++
	s.mu.Unlock()
	c.displace()
	s.mu.Lock()
	return true
}

// displaceable returns the connection to displace for a new one of newcomer; nil if the new
// one is refused. s.mu is held.
//
// A connection in its handshake is displaced unless its holder has fewer connections than
// newcomer, and a connection after START only if its holder has at least two more. Therefore a
// holder cannot exclude others with many connections, and after START no holder loses its last
// connection.
func (s *Source) displaceable(newcomer holder) *conn {
	held := map[holder]int{}
	for c := range s.conns {
		held[c.holder]++
	}
	var first *conn
	var firstPhase phase
	for c := range s.conns {
		p := c.phase()
		more := held[c.holder] - held[newcomer]
		if more < 0 || p != inHandshake && more < 2 {
			continue
		}
		if first == nil || before(c, p, first, firstPhase, held) {
			first, firstPhase = c, p
		}
	}
	return first
}

// before reports whether a is to be displaced rather than b: a connection in its handshake
// first, then one of the holder with the most connections, then an unproven one, then the
// oldest.
func before(a *conn, phaseA phase, b *conn, phaseB phase, held map[holder]int) bool {
	return cmp.Or(
		cmp.Compare(min(phaseA, unproven), min(phaseB, unproven)),
		cmp.Compare(held[b.holder], held[a.holder]),
		cmp.Compare(phaseA, phaseB),
		cmp.Compare(a.shown.Number, b.shown.Number),
	) < 0
}

// A phase is the progress of a connection.
type phase uint8

const (
	inHandshake phase = iota
	unproven          // sent START, but no outward message
	proven            // sent an outward message
)

// phase may be called from any goroutine.
func (c *conn) phase() phase {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !c.began:
		return inHandshake
	case c.shown.Outward == 0:
		return unproven
	}
	return proven
}

// displace closes the connection, and returns when the source has released it.
func (c *conn) displace() {
	c.displaced.Store(true)
	c.raw.Close()
	<-c.released
}
