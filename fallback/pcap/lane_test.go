package pcap

import (
	"bytes"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A recorder is a lane that records messages and reasons. It fails the test if it is not
// used as a lane.
type recorder struct {
	t        *testing.T
	messages []transform.Message
	dropped  []transform.Reason
	bursts   int
	open     bool
	closed   bool
}

func (r *recorder) Begin() {
	if r.open || r.closed {
		r.t.Error("Begin within a burst, or after Close")
	}
	r.open = true
	r.bursts++
}

func (r *recorder) Take(m *transform.Message) transform.Reason {
	if !r.open {
		r.t.Error("Take outside of a burst")
	}
	kept := *m
	kept.Wire = bytes.Clone(m.Wire)
	r.messages = append(r.messages, kept)
	return transform.Kept
}

func (r *recorder) Drop(reason transform.Reason) {
	if !r.open {
		r.t.Error("Drop outside of a burst")
	}
	r.dropped = append(r.dropped, reason)
}

func (r *recorder) End() {
	if !r.open {
		r.t.Error("End outside of a burst")
	}
	r.open = false
}

func (r *recorder) Close() {
	if r.open || r.closed {
		r.t.Error("Close within a burst, or twice")
	}
	r.closed = true
}
