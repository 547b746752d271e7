package stream

import "github.com/dnstap-pdns/dnstap-pdns/transform"

// A key is a Flow in a form with a fast hash.
type key struct {
	resolver, server         [16]byte
	resolverPort, serverPort uint16
}

func keyOf(f *Flow) key {
	return key{f.Resolver.Addr().As16(), f.Server.Addr().As16(), f.Resolver.Port(), f.Server.Port()}
}

// A conn is a connection with its two directions.
type conn struct {
	key    key
	flow   Flow
	halves [2]half
	data   bool // a segment had data
	last   transform.Time
	entry  node[conn]
	next   *conn // in the free list Table.spare
}

// half returns one direction of the connection.
func (c *conn) half(response bool) *half {
	if response {
		return &c.halves[1]
	}
	return &c.halves[0]
}

func (c *conn) ended() bool { return c.halves[0].ended && c.halves[1].ended }

// startsConn reports whether a segment of an unknown connection starts one: it has a SYN,
// or a message begins in it.
func (t *Table) startsConn(s *Segment) bool {
	if s.RST || s.SYN {
		return s.SYN && !s.RST
	}
	if plausible(s.Payload, s.Response) {
		return true
	}
	t.stats.DroppedBytes += uint64(len(s.Payload))
	return false
}

// newConn adds a connection to the table. updateConn adds it to a queue.
func (t *Table) newConn(k key, f *Flow) *conn {
	c := t.spare
	if c == nil {
		c = new(conn)
		c.entry.of = c
		for i := range c.halves {
			h := &c.halves[i]
			h.conn, h.response = c, i == 1
			h.holding.of, h.waiting.of = h, h
		}
	} else {
		t.spare, c.next = c.next, nil
	}
	c.key, c.flow, c.data = k, *f, false
	t.conns[k] = c
	t.stats.Begun++
	return c
}

// updateConn moves a connection to its queue, or removes it if it ended without data. It
// evicts connections if there are too many.
func (t *Table) updateConn(c *conn, now transform.Time, sink Sink) {
	switch {
	case c.ended() && !c.data:
		t.stats.Ended++
		t.remove(c, sink)
	case c.ended():
		if c.entry.in != &t.ended {
			t.stats.Ended++
			c.last = now
			t.ended.push(&c.entry)
		}
	case c.data:
		c.last = now
		t.live.push(&c.entry)
	case c.entry.in != &t.embryonic:
		c.last = now
		t.embryonic.push(&c.entry)
	}
	t.enforceLimits(sink)
}

// enforceLimits evicts connections beyond the limits. Ended ones go first.
func (t *Table) enforceLimits(sink Sink) {
	for t.embryonic.len > t.limits.Embryonic {
		t.stats.EvictedEmbryonic++
		t.remove(t.embryonic.first(), sink)
	}
	for t.live.len+t.ended.len > t.limits.Streams {
		c := t.ended.first()
		if c == nil {
			c = t.live.first()
			t.stats.Evicted++
		}
		t.remove(c, sink)
	}
}

// remove ends a connection and deletes it.
func (t *Table) remove(c *conn, sink Sink) {
	for i := range c.halves {
		t.end(&c.halves[i], sink)
		c.halves[i].clear()
	}
	c.entry.remove()
	delete(t.conns, c.key)
	c.flow = Flow{}
	c.next, t.spare = t.spare, c
}
