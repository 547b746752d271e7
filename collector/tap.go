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
	drainTime = 500 * time.Millisecond // for all that a connection brings after the end
	drainIdle = 50 * time.Millisecond  // without a byte: nothing is on its way
)

// longAgo wakes whoever reads.
var longAgo = time.Unix(1, 0)

// A tap reads a connection until its context ends, then what is there already,
// and then returns errStopped. Errors name no address.
//
// On a Unix socket nothing is lost in between: the end shuts the connection for
// reading, so that the kernel takes no more of the peer's, and what it took before
// can be read still. TCP cannot refuse: there a pause must do.
type tap struct {
	nc     net.Conn
	ctx    context.Context
	unhook func() bool
	woken  chan struct{} // closed once the end has woken the reader
	until  time.Time     // of draining; zero before
	alarm  func()        // nil where none is set
}

func newTap(ctx context.Context, nc net.Conn) *tap {
	t := &tap{nc: nc, ctx: ctx, woken: make(chan struct{})}
	t.unhook = context.AfterFunc(ctx, func() {
		if socket, ok := nc.(*net.UnixConn); ok {
			socket.CloseRead() // fails only where the peer has gone
		}
		nc.SetReadDeadline(longAgo)
		close(t.woken)
	})
	return t
}

// release ends what the tap has running. The connection stays open.
func (t *tap) release() {
	if !t.unhook() {
		<-t.woken
	}
}

// limit lets reads fail at a time; the zero time is never.
func (t *tap) limit(deadline time.Time) {
	t.nc.SetReadDeadline(deadline)
	if t.ctx.Err() != nil {
		t.nc.SetReadDeadline(longAgo) // the end came before, and must not be forgotten
	}
}

// setAlarm lets Read call f once, after d and before it reads on.
func (t *tap) setAlarm(d time.Duration, f func()) {
	t.alarm = f
	t.limit(time.Now().Add(d))
}

func (t *tap) Read(p []byte) (int, error) {
	n, err := t.read(p)
	if n == 0 && t.alarm != nil && t.ctx.Err() == nil && errors.Is(err, os.ErrDeadlineExceeded) {
		ring := t.alarm
		t.alarm = nil
		t.limit(time.Time{})
		ring()
		n, err = t.read(p)
	}
	if n == 0 && t.until.IsZero() && t.ctx.Err() != nil && isOver(err) {
		<-t.woken // so that nobody changes deadlines but us
		t.until = time.Now().Add(drainTime)
		n, err = t.read(p)
	}
	if n == 0 && !t.until.IsZero() && isOver(err) {
		err = errStopped
	}
	return n, err
}

// isOver tells what reading gives once we have ended it.
func isOver(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, io.EOF)
}

func (t *tap) read(p []byte) (int, error) {
	if !t.until.IsZero() {
		idle := time.Now().Add(drainIdle)
		if idle.After(t.until) {
			idle = t.until
		}
		t.nc.SetReadDeadline(idle)
	}
	n, err := t.nc.Read(p)
	if n > 0 && errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil // of TLS, which looked for more; the next read will tell
	}
	return n, withoutAddress(err)
}

// withoutAddress strips an error of the addresses that package net puts into it.
// What package tls makes of an alert names no network and says who sent it.
func withoutAddress(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Net != "" {
		return op.Err
	}
	return err
}
