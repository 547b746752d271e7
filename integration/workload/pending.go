package workload

import (
	"slices"
	"time"
)

const (
	// pendingWithin is the time before the load in which its pending queries were sent: so short
	// that none of them expires during the load.
	pendingWithin = 10 * time.Second

	firstPending = 1 << 40 // transaction; other transactions have lower numbers
)

// NewPending returns the load of a busy resolver that begins with another number of pending queries,
// which are not answered. Each of them is a frame in addition to frames.
func NewPending(pairs []Pair, pending, frames int) (*Busy, error) {
	l, err := NewBusy(pairs, Pending(BusyRate)+frames, BusyRate)
	if err != nil {
		return nil, err
	}
	isPending := func(e event) bool { return e.at < busyTimeout }
	before := make([]event, pending)
	for i := range before {
		at := busyTimeout - pendingWithin + time.Duration(i)*pendingWithin/time.Duration(pending)
		before[i] = event{at: at, transaction: firstPending + uint64(i)}
	}
	l.events = append(before, slices.DeleteFunc(l.events, isPending)...)
	return l, nil
}
