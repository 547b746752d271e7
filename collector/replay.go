package collector

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Replay brings a Frame Streams file to a lane, as a connection's stream would be,
// and closes the lane. Of cfg it heeds MaxFrame. A file may end without STOP; what
// is damaged is an error that names the byte offset, and what came before the
// damage is in the lane then.
//
// When ctx ends, Replay ends: between two reads, or within one where r has a
// SetReadDeadline that works, as pipes have; the deadline is left in the past then.
func Replay(ctx context.Context, r io.Reader, cfg Config, lane Lane) error {
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

// expectEnd returns io.EOF if nothing follows.
func (r *frameReader) expectEnd() error {
	if r.begin == r.end {
		if err := r.fill(); err != nil {
			return err
		}
	}
	return &damage{r.base + int64(r.begin), errors.New("the stream goes on behind STOP")}
}

// untilDone reads until its context ends, and then returns errStopped.
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

// wake lets a read under way end with the context. The function returned must be
// called when reading is over.
func (u *untilDone) wake() (stop func()) {
	d, ok := u.r.(interface{ SetReadDeadline(time.Time) error })
	if !ok {
		return func() {}
	}
	woken := make(chan struct{})
	unhook := context.AfterFunc(u.ctx, func() {
		defer close(woken)
		d.SetReadDeadline(longAgo) // regular files refuse, and never wait
	})
	return func() {
		if !unhook() {
			<-woken
		}
	}
}
