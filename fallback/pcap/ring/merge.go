package ring

import (
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

const (
	// retireTime is how long the kernel fills a block before it hands it over.
	retireTime = 10 * time.Millisecond
	// settleTime is how old a packet must be before a ring that shows none is taken
	// to hold none that is older: the kernel's timer may come late.
	settleTime = 50 * time.Millisecond
)

// A track is a tape with the packet that comes next on it.
type track struct {
	tape
	head Packet
	held bool // head is a packet
}

// look makes sure that head is the next packet not later than until, if there is one.
func (t *track) look(until transform.Time) bool {
	for !t.held && t.read(&t.head) {
		t.held = t.head.Time <= until
	}
	return t.held
}

// A merge reads several tracks in order of time.
type merge struct {
	tracks []*track
	// Up to here, no packet can come on a track that shows none.
	settled transform.Time
}

// first is the track whose head comes next, or nil as long as a track that shows
// nothing may yet bring an earlier packet.
func (m *merge) first(until transform.Time) *track {
	best, silent := m.earliest(until)
	if best == nil || silent && best.head.Time > m.settled {
		return nil
	}
	return best
}

// earliest is the track with the earliest head, or nil; and whether another shows
// nothing.
func (m *merge) earliest(until transform.Time) (best *track, silent bool) {
	for _, t := range m.tracks {
		switch {
		case !t.look(until):
			silent = true
		case best == nil || t.head.Time < best.head.Time:
			best = t
		}
	}
	return best, silent
}

// settle tells the time. It returns how long it takes until there is a first track,
// if none shows anything new: 0 where there is one, and a negative duration where
// none holds a packet.
func (m *merge) settle(now, until transform.Time) time.Duration {
	m.settled = now - transform.Time(settleTime)
	best, silent := m.earliest(until)
	switch {
	case best == nil:
		return -1
	case !silent || best.head.Time <= m.settled:
		return 0
	case best.head.Time > now:
		// The clock has been set back. Waiting for it to come here again could take
		// hours, and loses more than order.
		m.settled = best.head.Time
		return 0
	}
	return time.Duration(best.head.Time - m.settled)
}
