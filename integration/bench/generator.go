package main

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"slices"
	"syscall"
	"time"
)

// Defaults of the library fstrm, with which BIND and PowerDNS Recursor send dnstap.
const (
	queueFrames = 512 // FSTRM_IOTHR_INPUT_QUEUE_SIZE_DEFAULT
	writeFrames = 64  // FSTRM_IOTHR_OUTPUT_QUEUE_SIZE_DEFAULT
)

// tick is the time between two looks at how many frames are due.
const tick = 200 * time.Microsecond

// A generator sends frames over a connection as a resolver does: it never waits for the receiver.
// Frames wait in a bounded queue, and are dropped while it is full.
type generator struct {
	c       *connection
	raw     syscall.RawConn
	queue   [][]byte // frames, each after its length
	writing []byte   // the rest of the frames that left the queue
	dropped uint64   // frames that the full queue did not take
}

func newGenerator(c *connection) (*generator, error) {
	raw, err := c.conn.(*net.UnixConn).SyscallConn()
	return &generator{c: c, raw: raw}, err
}

// cut returns the first frames of a load, and the rest.
func cut(load []byte, frames int) (first, rest []byte) {
	at := 0
	for range frames {
		at += 4 + int(binary.BigEndian.Uint32(load[at:]))
	}
	return load[:at], load[at:]
}

// offer offers the first frames of a load at a rate. It returns the time that this took, which is
// longer than the rate asks for if the generator does not reach the rate.
func (g *generator) offer(ctx context.Context, load []byte, frames, rate int) (time.Duration, error) {
	began := time.Now()
	for offered := 0; offered < frames; {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		due := min(frames, int(float64(rate)*time.Since(began).Seconds())) - offered
		for range min(due, writeFrames) {
			var frame []byte
			frame, load = cut(load, 1)
			g.add(frame)
			offered++
		}
		if err := g.write(); err != nil {
			return 0, err
		}
		if due <= writeFrames {
			sleepUntil(time.Now().Add(tick))
		}
	}
	return time.Since(began), nil
}

func (g *generator) add(frame []byte) {
	if len(g.queue) == queueFrames {
		g.dropped++
		return
	}
	g.queue = append(g.queue, frame)
}

// write writes as many frames of the queue as the socket takes now.
func (g *generator) write() error {
	for len(g.writing) > 0 || len(g.queue) > 0 {
		g.take()
		n, err := g.tryWrite(g.writing)
		if errors.Is(err, syscall.EAGAIN) {
			return nil
		}
		if err != nil {
			return err
		}
		g.writing = g.writing[n:]
	}
	return nil
}

// take takes the next frames from the queue if all others are written.
func (g *generator) take() {
	if len(g.writing) > 0 {
		return
	}
	n := min(len(g.queue), writeFrames)
	g.writing = slices.Concat(g.queue[:n]...)
	g.queue = slices.Delete(g.queue, 0, n)
}

// tryWrite writes what the socket takes without waiting.
func (g *generator) tryWrite(b []byte) (n int, err error) {
	wait := g.raw.Write(func(fd uintptr) bool {
		n, err = syscall.Write(int(fd), b)
		return true
	})
	return n, errors.Join(wait, err)
}

// finish writes the rest of the queue, and returns when the receiver has confirmed every frame.
func (g *generator) finish() error {
	for len(g.writing) > 0 || len(g.queue) > 0 {
		g.take()
		if _, err := g.c.conn.Write(g.writing); err != nil {
			return err
		}
		g.writing = nil
	}
	return g.c.w.Close()
}
