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
func (Config) New(c *forward.SinkConfig, env forward.Env) (forward.Transport, error) {
	if env.Stdout == nil {
		return nil, errors.New("standard output is not available to sinks here")
	}
	t := &transport{w: env.Stdout}
	t.enclosed, _ = c.Format.(forward.Enclosed)
	return t, nil
}

// A transport writes to w. A failure is permanent: the reader has closed the pipe, or would
// read an incomplete unit.
type transport struct {
	w        io.Writer
	enclosed forward.Enclosed // the format, if it is Enclosed; else nil
	open     bool             // Begin was written, and nothing failed since
}

// Open does nothing.
func (*transport) Open(context.Context) error { return nil }

// Send writes the units.
func (t *transport) Send(_ context.Context, bs []*forward.Batch, from int) (r forward.Result, err error) {
	if err := t.begin(); err != nil {
		return r, err
	}
	for _, b := range bs {
		n, err := t.write(b.Buf[b.Start(from):])
		r.Deliver(b, from, n)
		if err != nil {
			return r, err
		}
		from = 0
	}
	return r, nil
}

// begin writes the beginning of the stream of an enclosed format, once.
func (t *transport) begin() error {
	if t.enclosed == nil || t.open {
		return nil
	}
	_, err := t.write(t.enclosed.Begin())
	t.open = err == nil
	return err
}

func (t *transport) write(b []byte) (n int, err error) {
	if n, err = t.w.Write(b); err != nil {
		t.open = false
		err = forward.PermanentError{Err: fmt.Errorf("writing to standard output failed: %w", err)}
	}
	return n, err
}

// Idle does nothing.
func (*transport) Idle(context.Context) (time.Time, error) { return time.Time{}, nil }

// Close writes the end of the stream of an enclosed format, if anything was written.
func (t *transport) Close(context.Context) error {
	if !t.open {
		return nil
	}
	_, err := t.write(t.enclosed.End())
	t.open = false
	return err
}
