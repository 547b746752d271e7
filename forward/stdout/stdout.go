// Package stdout writes batches to the command's standard output. It does not know what
// they contain or who reads them.
package stdout

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
)

// Config is empty: there is nothing to configure.
type Config struct{}

// New returns a transport that writes to env.Stdout.
func (Config) New(_ *forward.SinkConfig, env forward.Env) (forward.Transport, error) {
	if env.Stdout == nil {
		return nil, errors.New("standard output is not available to sinks here")
	}
	return &transport{env.Stdout}, nil
}

// A transport writes to w. A failure is permanent: the reader has gone, or would read an
// incomplete unit.
type transport struct{ w io.Writer }

// Open does nothing.
func (*transport) Open(context.Context) error { return nil }

// Send writes the units.
func (t *transport) Send(_ context.Context, bs []*forward.Batch, from int) (r forward.Result, err error) {
	for _, b := range bs {
		n, err := t.w.Write(b.Buf[b.Start(from):])
		r.Deliver(b, from, n)
		if err != nil {
			return r, forward.BrokenError{Err: fmt.Errorf("standard output cannot be written to any more: %w", err)}
		}
		from = 0
	}
	return r, nil
}

// Rest does nothing.
func (*transport) Rest(context.Context) (time.Time, error) { return time.Time{}, nil }

// Close does nothing.
func (*transport) Close(context.Context) error { return nil }
