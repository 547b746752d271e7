package collector

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	framestream "github.com/farsightsec/golang-framestream"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// Replay passes the frames of a Frame Streams file to a lane, as a connection does, and closes
// the lane. Only cfg.MaxFrame is used. A file may end without STOP, and may consist of several
// concatenated files. An error in the file names the byte offset; the lane has taken every
// earlier frame.
//
// Replay ends when ctx ends: between two reads or, if r is a pipe or has another
// SetReadDeadline that works, within a read. It then leaves r with an expired read deadline.
func Replay(ctx context.Context, r io.Reader, cfg Config, lane transform.Lane) error {
	defer lane.Close()
	if cfg.MaxFrame < 1 {
		return fmt.Errorf("frames of at most %d bytes: there must be at least 1", cfg.MaxFrame)
	}
	in := &untilDone{ctx: ctx, r: r}
	defer in.wake()()

	frames := newFrameReader(in, cfg.MaxFrame)
	_, err := handshake(frames, nil)
	if errors.Is(err, io.EOF) {
		err = errors.New("there is nothing to read")
	}
	s := newStream(frames, lane)
	s.file = true
	for err == nil {
		if err = s.run(); err == nil {
			err = nextStart(frames)
		}
	}
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case errors.Is(err, errStopped):
		return context.Cause(ctx)
	}
	return fmt.Errorf("reading Frame Streams: %w", err)
}

// nextStart reads the START of the next of several concatenated files, after the STOP of the
// file before. FINISH may precede it. The error is io.EOF if nothing follows.
func nextStart(frames *frameReader) error {
	c, err := awaitControl(frames)
	if err == nil && c.kind == framestream.CONTROL_FINISH {
		c, err = awaitControl(frames)
	}
	if err != nil {
		return err
	}
	return expectStart(frames, c)
}

// untilDone reads r until ctx ends, and then returns errStopped. fallback/pcap has its own,
// because sources do not import each other.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u *untilDone) Read(p []byte) (int, error) {
	if u.ctx.Err() != nil {
		return 0, errStopped
	}
	n, err := u.r.Read(p)
	if n == 0 && err != nil && u.ctx.Err() != nil {
		err = errStopped
	}
	return n, err
}

// wake interrupts a pending read when the context ends. The caller must call stop after its
// last read.
func (u *untilDone) wake() (stop func()) {
	d, ok := u.r.(interface{ SetReadDeadline(time.Time) error })
	if !ok {
		return func() {}
	}
	woken := make(chan struct{})
	unhook := context.AfterFunc(u.ctx, func() {
		defer close(woken)
		d.SetReadDeadline(expired) // fails for regular files, whose reads do not wait
	})
	return func() {
		if !unhook() {
			<-woken
		}
	}
}
