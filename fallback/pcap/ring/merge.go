package ring

import (
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

const (
	// retireTime is how long the kernel fills a block before it hands it over.
	retireTime = 10 * time.Millisecond
	// orderDelay is the age at which a packet may be read although another ring shows none.
	// It exceeds retireTime because the kernel's timer may be late.
	orderDelay = 50 * time.Millisecond
)

// A lookahead is a blockReader that has read one packet ahead.
type lookahead struct {
	blockReader
	head    Packet
	hasHead bool // head is a packet that was not returned yet
}

// peek reads the next packet that is not later than until into head, unless head is set, and
// reports whether head is set. It skips later packets.
func (t *lookahead) peek(until transform.Time) bool {
	for !t.hasHead && t.read(&t.head) {
		t.hasHead = t.head.Time <= until
	}
	return t.hasHead
}

// A merge reads the packets of several inputs in the order of time.
type merge struct {
	inputs []*lookahead
	// No input without a head can get a packet at or before this time.
	orderedUntil transform.Time
}

// first returns the input with the earliest head. It returns nil if no input has a head, or
// while an input without a head may still get an earlier packet.
func (m *merge) first(until transform.Time) *lookahead {
	best, silent := m.earliest(until)
	if best == nil || silent && best.head.Time > m.orderedUntil {
		return nil
	}
	return best
}

// earliest returns the input with the earliest head, or nil. silent reports whether
// another input has no head.
func (m *merge) earliest(until transform.Time) (best *lookahead, silent bool) {
	for _, t := range m.inputs {
		switch {
		case !t.peek(until):
			silent = true
		case best == nil || t.head.Time < best.head.Time:
			best = t
		}
	}
	return best, silent
}

// advance sets orderedUntil according to now. It returns the time until first returns an
// input, if no packet arrives: 0 if it does now, and a negative duration if no input has
// a head.
func (m *merge) advance(now, until transform.Time) time.Duration {
	m.orderedUntil = now - transform.Time(orderDelay)
	best, silent := m.earliest(until)
	switch {
	case best == nil:
		return -1
	case !silent || best.head.Time <= m.orderedUntil:
		return 0
	case best.head.Time > now:
		// The clock was set back. Waiting until it gets here again may take hours, which is
		// worse than packets out of order.
		m.orderedUntil = best.head.Time
		return 0
	}
	return time.Duration(best.head.Time - m.orderedUntil)
}
