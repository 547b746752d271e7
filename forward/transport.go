package forward

import (
	"context"
	"fmt"
	"time"
)

// A transport takes finished containers to where they go. Its methods are called
// by the sink's goroutine only.
type transport interface {
	// Send delivers the batch's containers, which it borrows, from number from on.
	// The outcome tells what became of how many of them. With an error the others
	// can be sent again, unless the error is a brokenError; without one there are no
	// others.
	Send(ctx context.Context, b *batch, from int) (outcome, error)

	// Rest does what is due while nothing is to be sent, and returns the time at which
	// it wants to be called next if nothing was sent until then; the zero time: never. A
	// troubleError is about what was sent before, and will not be again.
	Rest(ctx context.Context) (time.Time, error)

	// Close gives back what the transport holds, and ends what it does beside; when
	// ctx ends, at once. What was delivered may be incomplete when it returns an
	// error, which says how.
	Close(ctx context.Context) error
}

// A troubleError costs what the transport is done with, and nothing else.
type troubleError struct{ error }

// A teller is a transport that accounts for more than records. Any goroutine may
// call it.
type teller interface{ tell(l *SinkLedger) }

// An outcome is what became of containers.
type outcome struct {
	done      int               // containers that are dealt with
	delivered uint64            // records in them
	lost      [numLosses]uint64 // records in them
	sent      Sent              // what was delivered of them
	trouble   error             // what went wrong although Send got to the end; nil: nothing
}

// lose counts container i of the batch as lost.
func (o *outcome) lose(b *batch, i int, why Loss) {
	o.done++
	o.lost[why] += uint64(b.containers[i].records)
	b.containers[i].lost = true
}

// Sent is what a sink's transport took.
type Sent struct {
	Containers uint64
	Datagrams  uint64 // UDP; fragments count one by one
	Bytes      uint64
}

func (s *Sent) add(o *Sent) {
	s.Containers += o.Containers
	s.Datagrams += o.Datagrams
	s.Bytes += o.Bytes
}

// A brokenError ends a transport for good: to try again is of no use.
type brokenError struct{ error }

func (e brokenError) Unwrap() error { return e.error }

// openTransport makes the sink's transport. Nothing is opened or resolved before
// the first batch.
func (f *Forwarder) openTransport(c *SinkConfig) (transport, error) {
	switch c.Target.Scheme {
	case UDP:
		return newUDP(c), nil
	case File:
		return newFile(c, f.mode, f.log.With("sink", c.Name))
	case Stdout:
		if f.stdout == nil {
			return nil, fmt.Errorf("sink %q: there is no standard output here", c.Name)
		}
		return &stdout{f.stdout}, nil
	}
	return nil, fmt.Errorf("sink %q: no transport for %v", c.Name, c.Target)
}
