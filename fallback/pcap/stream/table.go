package stream

import (
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

const (
	// patience is how long a hole may wait for what belongs there.
	patience = transform.Time(2 * time.Second)
	// linger is how long a connection that ended is remembered, so that late
	// retransmissions are not taken for a stream joined in the middle.
	linger = transform.Time(4 * time.Second)
)

// A Table puts the streams of many connections together. It is for one goroutine.
type Table struct {
	limits Limits
	stats  Stats
	pool   pool
	conns  map[key]*conn
	spare  *conn

	embryonic queue[conn] // have sent no data, in the order of their coming
	live      queue[conn] // in the order of their last segment
	over      queue[conn] // in the order of their end
	holding   queue[half] // with buffers, in the order of use
	waiting   queue[half] // with a hole, in the order of its coming
}

// New makes a Table.
func New(l Limits) *Table {
	l = l.filled()
	return &Table{limits: l, pool: pool{limit: l.Bytes}, conns: make(map[key]*conn)}
}

// Stats returns the counters as they stand.
func (t *Table) Stats() Stats {
	s := t.stats
	s.Streams, s.Embryonic, s.Bytes = t.live.len+t.over.len, t.embryonic.len, t.pool.used
	return s
}

// Take takes one segment, in the order of capture, and tells sink what it completes
// or breaks.
func (t *Table) Take(s *Segment, sink Sink) {
	t.stats.Segments++
	t.Expire(s.Time, sink)
	k := keyOf(&s.Flow)
	c := t.conns[k]
	if c == nil {
		if !t.begins(s) {
			return
		}
		c = t.enter(k, &s.Flow)
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
	t.settle(h, s.Time, sink)
	t.place(c, s.Time, sink)
}

// Expire ends what has waited too long at now. It costs four comparisons when there
// is nothing to do.
func (t *Table) Expire(now transform.Time, sink Sink) {
	for h := t.waiting.first(); h != nil && due(&h.since, now, patience); h = t.waiting.first() {
		t.giveUpDue(h, now, sink)
	}
	for c := t.over.first(); c != nil && due(&c.last, now, linger); c = t.over.first() {
		t.remove(c, sink)
	}
	for _, q := range [...]*queue[conn]{&t.live, &t.embryonic} {
		for c := q.first(); c != nil && due(&c.last, now, t.limits.Idle); c = q.first() {
			t.stats.Expired++
			t.remove(c, sink)
		}
	}
}

// due says whether since is long enough ago. When the clock went back, the waiting
// begins anew: a time from far ahead would wait for ever.
func due(since *transform.Time, now, long transform.Time) bool {
	if now < *since {
		*since = now
		return false
	}
	return now-*since >= long
}

// Finish ends all connections: there are no more segments. The table is empty then,
// and may be used again.
func (t *Table) Finish(sink Sink) {
	for _, q := range [...]*queue[conn]{&t.over, &t.live, &t.embryonic} {
		for c := q.first(); c != nil; c = q.first() {
			t.remove(c, sink)
		}
	}
}
