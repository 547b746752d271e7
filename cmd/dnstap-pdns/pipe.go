package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// pipeGrace is the longest time for which a pipe is read after a signal. Ctrl-C stops all
// processes of a pipeline, and tcpdump writes its last packets only then.
const pipeGrace = 3 * time.Second

var (
	errStopped  = errors.New("stopped by a signal before the end of its input")
	errPipeOpen = fmt.Errorf("the writer of the pipe did not end within %v after the signal", pipeGrace)
	errNoSink   = errors.New("all sinks have failed")
)

// isPipe reports whether f is a pipe or a socket, to which a process may be writing.
func isPipe(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&(os.ModeNamedPipe|os.ModeSocket) != 0
}

// withPipeGrace returns a context that ends pipeGrace after ctx, or together with ctx if all
// sinks have failed. The caller calls done when it has read.
func withPipeGrace(ctx context.Context) (reading context.Context, done func()) {
	reading, end := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		if cause := context.Cause(ctx); errors.Is(cause, errNoSink) {
			end(cause)
			return
		}
		time.AfterFunc(pipeGrace, func() { end(errPipeOpen) })
	})
	return reading, func() {
		stop()
		end(nil)
	}
}

// pollMillis is the time, in milliseconds, after which a waiting reader checks its context.
const pollMillis = 200

// A pollReader reads a file that may have no data yet, such as a pipe or a terminal, and stops
// waiting when its context ends. It polls because standard input has no deadlines.
type pollReader struct {
	ctx  context.Context
	file *os.File
}

func (r pollReader) Read(p []byte) (int, error) {
	fds := []unix.PollFd{{Fd: int32(r.file.Fd()), Events: unix.POLLIN}}
	for {
		if r.ctx.Err() != nil {
			return 0, context.Cause(r.ctx)
		}
		switch n, err := unix.Poll(fds, pollMillis); {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 0, fmt.Errorf("waiting for %s: %w", r.file.Name(), err)
		case n > 0: // data, or the end of the file
			return r.file.Read(p)
		}
	}
}
