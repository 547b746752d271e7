package page

import (
	"sync"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/admin"
)

const (
	tick   = 10 * time.Second
	window = time.Hour
)

// A measure is something of which there is so much in a second.
type measure int

const (
	read measure = iota
	records
	dropped
	delivered
	lost
	numMeasures
)

// amounts are what was counted, by measure.
type amounts [numMeasures]uint64

// A point is what happened in the time before it.
type point struct {
	at   time.Time
	took time.Duration
	amounts
}

func (p *point) rate(m measure) float64 { return float64(p.amounts[m]) / p.took.Seconds() }

// history is the last hour, in fixed memory.
type history struct {
	mu     sync.Mutex
	last   totals
	points [window / tick]point
	n      int // points that there ever were
}

// add takes note of a ledger. What happened is what it has more than the one before.
func (h *history) add(l *admin.Ledger) {
	now := totalsOf(l)
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := now.since(&h.last); p.took > 0 {
		h.points[h.n%len(h.points)] = p
		h.n++
	}
	h.last = now
}

// within returns the points of the hour before now, the oldest first.
func (h *history) within(now time.Time) (all []point) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := max(0, h.n-len(h.points)); i < h.n; i++ {
		if p := h.points[i%len(h.points)]; now.Sub(p.at) < window && !p.at.After(now) {
			all = append(all, p)
		}
	}
	return all
}

// totals are what a ledger has counted, by who counted it.
type totals struct {
	at time.Time          // zero: nothing was counted before
	by map[string]amounts // "": all sources, else a sink
}

func totalsOf(l *admin.Ledger) totals {
	t := totals{at: l.Time, by: map[string]amounts{}}
	t.by[""] = amounts{read: l.Total.Read, records: l.Total.Records, dropped: admin.Total(l.Total.Dropped)}
	for i := range l.Sinks {
		s := &l.Sinks[i]
		t.by["sink "+s.Name] = amounts{delivered: s.Delivered, lost: admin.Total(s.Lost)}
	}
	return t
}

// since is what has come since the totals before. Where a count went down, or was not
// there, another began at zero.
func (t *totals) since(before *totals) point {
	p := point{at: t.at}
	if before.at.IsZero() {
		return p
	}
	p.took = t.at.Sub(before.at)
	for c, now := range t.by {
		was, known := before.by[c]
		for m, n := range now {
			if known && n >= was[m] {
				n -= was[m]
			}
			p.amounts[m] += n
		}
	}
	return p
}
