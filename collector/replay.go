package collector

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// Replay passes the frames of a Frame Streams file to a lane, as a connection does, and closes
// the lane. Only cfg.MaxFrame is used. A file may end without STOP. An error in the file names
// the byte offset; the lane has every frame before it.
//
// Replay ends when ctx ends: between two reads or, if r has a SetReadDeadline that works, as
// pipes have, within a read. Then r's read deadline has expired on return.
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
	if err == nil {
		s := newStream(frames, lane)
		err = s.run()
		if err == nil {
			err = frames.expectEnd()
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

// wake makes a pending read end with the context. The caller must call stop after its last
// read.
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
