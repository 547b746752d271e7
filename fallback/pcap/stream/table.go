package stream

import (
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

const (
	// holeTime is how long a hole may wait for its octets. A lane holds the responses to the
	// queries after a hole for as long.
	holeTime = transform.Time(2 * time.Second)
	// endedTime is how long a connection is kept after its end, so that late
	// retransmissions are not taken for a stream joined in the middle.
	endedTime = transform.Time(4 * time.Second)
)

// A Table reassembles the streams of many connections. It is for one goroutine.
type Table struct {
	limits Limits
	stats  Stats
	pool   pool
	conns  map[key]*conn
	spare  *conn // free list

	embryonic queue[conn] // without data, in the order of their beginning
	live      queue[conn] // with data, in the order of their last segment
	ended     queue[conn] // in the order of their end
	holding   queue[half] // with buffers, in the order of use
	waiting   queue[half] // with a hole, in the order of its age
}

// New returns an empty Table.
func New(l Limits) *Table {
	l = l.filled()
	return &Table{limits: l, pool: pool{limit: l.Bytes}, conns: make(map[key]*conn)}
}

// Stats returns the current counts.
func (t *Table) Stats() Stats {
	s := t.stats
	s.Streams, s.Embryonic, s.Bytes = t.live.len+t.ended.len, t.embryonic.len, t.pool.used
	return s
}

// Take takes a segment. Segments must come in the order of capture. It passes the
// messages that the segment completes or breaks to sink.
func (t *Table) Take(s *Segment, sink Sink) {
	t.stats.Segments++
	t.Expire(s.Time, sink)
	k := keyOf(&s.Flow)
	c := t.conns[k]
	if c == nil {
		if !t.startsConn(s) {
			return
		}
		c = t.newConn(k, &s.Flow)
	}
	h := c.half(s.Response)
	if s.SYN {
		t.synchronise(h, s.Seq, sink)
	}
	if s.RST {
		t.reset(h, s.Seq, sink)
	} else {
		t.data(h, s, sink)
	}
	t.updateHalf(h, s.Time, sink)
	t.updateConn(c, s.Time, sink)
}

// ExpireHoles gives up holes whose time has passed at now.
func (t *Table) ExpireHoles(now transform.Time, sink Sink) {
	for h := t.waiting.first(); h != nil && due(&h.since, now, holeTime); h = t.waiting.first() {
		t.giveUpDue(h, now, sink)
	}
}

// Expire ends holes and connections whose time has passed at now. If there are none, it
// costs four comparisons.
func (t *Table) Expire(now transform.Time, sink Sink) {
	t.ExpireHoles(now, sink)
	for c := t.ended.first(); c != nil && due(&c.last, now, endedTime); c = t.ended.first() {
		t.remove(c, sink)
	}
	for _, q := range [...]*queue[conn]{&t.live, &t.embryonic} {
		for c := q.first(); c != nil && due(&c.last, now, t.limits.Idle); c = q.first() {
			t.stats.Expired++
			t.remove(c, sink)
		}
	}
}

// due reports whether since is at least long before now. If the clock went back, it sets
// since to now, because a time far ahead would never be due.
func due(since *transform.Time, now, long transform.Time) bool {
	if now < *since {
		*since = now
		return false
	}
	return now-*since >= long
}

// Finish ends every connection, because there are no more segments. Then the table is
// empty and may be used again.
func (t *Table) Finish(sink Sink) {
	for _, q := range [...]*queue[conn]{&t.ended, &t.live, &t.embryonic} {
		for c := q.first(); c != nil; c = q.first() {
			t.remove(c, sink)
		}
	}
}
