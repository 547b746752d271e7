package collector

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"time"
)

const (
	drainTime = 500 * time.Millisecond // limit for reading after the context has ended
	drainIdle = 50 * time.Millisecond  // without a byte: nothing more is in transit
)

// expired is a deadline that ends a read or write at once.
var expired = time.Unix(1, 0)

// errStopped is the error of reading after the context has ended.
var errStopped = errors.New("reading was stopped")

// A connReader reads a connection until its context ends. It then reads the data that the peer
// had sent by that time, and returns errStopped. Its errors contain no address.
//
// On a Unix socket no data is lost: the connection is shut down for reading, so that the kernel
// accepts no more from the peer, and the data that it accepted before is still read. TCP cannot
// refuse data: there draining ends when no data comes for drainIdle.
type connReader struct {
	nc     net.Conn
	ctx    context.Context
	unhook func() bool
	woken  chan struct{} // closed after ctx has ended and the deadline is expired
	until  time.Time     // end of draining; zero before
	timer  func()        // called by Read, nil if not set
}

func newConnReader(ctx context.Context, nc net.Conn) *connReader {
	r := &connReader{nc: nc, ctx: ctx, woken: make(chan struct{})}
	r.unhook = context.AfterFunc(ctx, func() {
		if s, ok := nc.(*socket); ok {
			s.closeRead()
		}
		nc.SetReadDeadline(expired)
		close(r.woken)
	})
	return r
}

// release ends the reader's wait for its context. The connection stays open.
func (r *connReader) release() {
	if !r.unhook() {
		<-r.woken
	}
}

// limit sets the deadline of reads; zero: none.
func (r *connReader) limit(deadline time.Time) {
	r.nc.SetReadDeadline(deadline)
	if r.ctx.Err() != nil {
		r.nc.SetReadDeadline(expired) // deadline must not replace that of the ended context
	}
}

// setTimer makes Read call f once, when d has passed, and then continue.
func (r *connReader) setTimer(d time.Duration, f func()) {
	r.timer = f
	r.limit(time.Now().Add(d))
}

func (r *connReader) Read(p []byte) (int, error) {
	n, err := r.read(p)
	if n == 0 && r.timer != nil && r.ctx.Err() == nil && errors.Is(err, os.ErrDeadlineExceeded) {
		f := r.timer
		r.timer = nil
		r.limit(time.Time{})
		f()
		n, err = r.read(p)
	}
	if n == 0 && r.until.IsZero() && r.ctx.Err() != nil && isInterrupt(err) {
		<-r.woken // from here on only Read sets deadlines
		r.until = time.Now().Add(drainTime)
		n, err = r.read(p)
	}
	if n == 0 && !r.until.IsZero() && isInterrupt(err) {
		err = errStopped
	}
	return n, err
}

// isInterrupt reports whether err is an error that a read returns when it is interrupted by
// the end of the context.
func isInterrupt(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, io.EOF)
}

func (r *connReader) read(p []byte) (int, error) {
	if !r.until.IsZero() {
		idle := time.Now().Add(drainIdle)
		if idle.After(r.until) {
			idle = r.until
		}
		r.nc.SetReadDeadline(idle)
	}
	n, err := r.nc.Read(p)
	if n > 0 && errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil // from TLS, which tried to read more; the next read returns it again
	}
	return n, withoutAddress(err)
}

// withoutAddress returns err without the addresses that package net adds. It keeps the errors
// that package tls makes of alerts: they contain no address, and name the sender. forward/udp
// has its own, because sources and sinks do not import each other.
func withoutAddress(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Net != "" {
		return op.Err
	}
	return err
}
