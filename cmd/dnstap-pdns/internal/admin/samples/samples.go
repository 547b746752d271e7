// Package samples keeps the last records that left, for an operator who asked to see
// them, and only then: it is off until it is turned on, and forgets when it is turned
// off.
//
// It works on the bytes that sinks have sent, so that what it shows is what receivers
// get. Those bytes it copies in the sink's goroutine; it reads them when it is asked.
package samples

import (
	"slices"
	"sync/atomic"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/leaving"
)

// Most is how many records are shown, and how many containers are kept: each holds one
// record at least.
const Most = 20

// maxContainer is of those that are kept, in bytes: what batches of the forwarder hold,
// but for one whose only record is larger.
const maxContainer = 64 << 10

// A Sample is one record as it left.
type Sample struct {
	Sink string
	Text string // lines of printable ASCII
}

// Samples are the last records that left, as a Tap saw them.
type Samples struct {
	tap  *leaving.Tap
	stop func() // Show's own; nil: turned off
	on   atomic.Bool
	kept ring
}

// New returns Samples of what the tap sees, turned off.
func New(tap *leaving.Tap) *Samples { return &Samples{tap: tap} }

// Show turns them on or off. Off, nothing is kept, and what was is forgotten. One
// caller at a time.
func (s *Samples) Show(on bool) {
	switch {
	case on && s.stop == nil:
		s.stop = s.tap.Watch(&s.kept)
	case !on && s.stop != nil:
		s.stop()
		s.stop = nil
		s.kept.forget()
	}
	s.on.Store(on)
}

// Latest returns the last records, the latest first, and whether samples are on.
func (s *Samples) Latest() (latest []Sample, on bool) {
	if !s.on.Load() {
		return nil, false
	}
	for _, c := range s.kept.latest() {
		fresh := read(c)
		slices.Reverse(fresh)
		latest = append(latest, fresh[:min(len(fresh), Most-len(latest))]...)
		if len(latest) == Most {
			break
		}
	}
	return latest, true
}
