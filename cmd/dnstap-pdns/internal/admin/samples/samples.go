// Package samples keeps the latest records that were sent, if an operator enables it. It is off
// until it is turned on, and drops its records when it is turned off.
//
// It shows records from the bytes that sinks sent, as receivers get them. It copies these bytes in
// the sink's goroutine, and parses them when records are requested.
package samples

import (
	"slices"
	"sync/atomic"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/leaving"
)

// Most is how many records are shown, and how many containers are kept, because each contains at
// least one record.
const Most = 20

// maxContainer is the size in bytes up to which containers are kept. The forwarder makes larger
// ones only for a single record that is larger.
const maxContainer = 64 << 10

// A Sample is one record as it was sent.
type Sample struct {
	Sink string
	Text string // lines of printable ASCII
}

// Samples are the latest records that were sent, from a Tap.
type Samples struct {
	tap  *leaving.Tap
	stop func() // only Show uses it; nil: turned off
	on   atomic.Bool
	kept ring
}

// New returns Samples of the tap's containers, turned off.
func New(tap *leaving.Tap) *Samples { return &Samples{tap: tap} }

// Show turns samples on or off. Turning them off drops all records. One caller at a time.
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

// Latest returns the latest records, the latest first, and whether samples are on.
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
