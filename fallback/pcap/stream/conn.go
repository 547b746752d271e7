package stream

import "github.com/dnstap-pdns/dnstap-pdns/transform"

// A key is a Flow in a form that is quick to hash.
type key struct {
	resolver, server         [16]byte
	resolverPort, serverPort uint16
}

func keyOf(f *Flow) key {
	return key{f.Resolver.Addr().As16(), f.Server.Addr().As16(), f.Resolver.Port(), f.Server.Port()}
}

// A conn is a connection: what the resolver says and what the server says.
type conn struct {
	key    key
	flow   Flow
	halves [2]half
	data   bool // it has sent some
	last   transform.Time
	place  node[conn]
	next   *conn // among the spare ones
}

func (c *conn) half(response bool) *half {
	if response {
		return &c.halves[1]
	}
	return &c.halves[0]
}

func (c *conn) ended() bool { return c.halves[0].ended && c.halves[1].ended }

// begins says whether a segment of an unknown connection is worth an entry: one
// that opens the connection, or in which a message begins.
func (t *Table) begins(s *Segment) bool {
	if s.RST || s.SYN {
		return s.SYN && !s.RST
	}
	if plausible(s.Payload, s.Response) {
		return true
	}
	t.stats.DroppedBytes += uint64(len(s.Payload))
	return false
}

// enter makes an entry, which place puts where it belongs.
func (t *Table) enter(k key, f *Flow) *conn {
	c := t.spare
	if c == nil {
		c = new(conn)
		c.place.of = c
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

// place puts a connection into the list it belongs to, and lets others go when
// there are too many.
func (t *Table) place(c *conn, now transform.Time, sink Sink) {
	switch {
	case c.ended() && !c.data:
		t.stats.Ended++
		t.remove(c, sink)
	case c.ended():
		if c.place.in != &t.over {
			t.stats.Ended++
			c.last = now
			t.over.push(&c.place)
		}
	case c.data:
		c.last = now
		t.live.push(&c.place)
	case c.place.in != &t.embryonic:
		c.last = now
		t.embryonic.push(&c.place)
	}
	t.crowd(sink)
}

// crowd holds the lists to their limits. What has ended goes before what lives.
func (t *Table) crowd(sink Sink) {
	for t.embryonic.len > t.limits.Embryonic {
		t.stats.EvictedEmbryonic++
		t.remove(t.embryonic.first(), sink)
	}
	for t.live.len+t.over.len > t.limits.Streams {
		c := t.over.first()
		if c == nil {
			c = t.live.first()
			t.stats.Evicted++
		}
		t.remove(c, sink)
	}
}

// remove ends a connection and forgets it.
func (t *Table) remove(c *conn, sink Sink) {
	for i := range c.halves {
		t.end(&c.halves[i], sink)
		c.halves[i].clear()
	}
	c.place.remove()
	delete(t.conns, c.key)
	c.flow = Flow{}
	c.next, t.spare = t.spare, c
}
