// Package samples keeps the latest records that were sent, if an operator enables it. It is off
// until it is turned on, and drops its records when it is turned off.
//
// It shows records from the bytes that sinks sent, as receivers get them. It copies these bytes in
// the sink's goroutine, and parses them when records are requested.
package samples

import (
	"slices"
	"sync/atomic"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/observers"
)

// MaxSamples is how many records are shown, and how many units are kept, because each contains at
// least one record.
const MaxSamples = 20

// maxUnit is the size in bytes up to which units are kept. The forwarder makes larger
// ones only for a single record that is larger.
const maxUnit = 64 << 10

// A Sample is one record as it was sent.
type Sample struct {
	Sink string
	Text string // lines of printable ASCII
}

// Samples are the latest records that were sent, from an observers.Set.
type Samples struct {
	sent *observers.Set
	stop func() // only Show uses it; nil: turned off
	on   atomic.Bool
	kept ring
}

// New returns Samples of the units in sent, turned off.
func New(sent *observers.Set) *Samples { return &Samples{sent: sent} }

// Show turns samples on or off. Turning them off drops all records. It must not be called
// concurrently.
func (s *Samples) Show(on bool) {
	switch {
	case on && s.stop == nil:
		s.stop = s.sent.Subscribe(&s.kept)
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
		latest = append(latest, fresh[:min(len(fresh), MaxSamples-len(latest))]...)
		if len(latest) == MaxSamples {
			break
		}
	}
	return latest, true
}
