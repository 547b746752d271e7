package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// lingerTime is how long a pipe is read on after a signal, if it does not end before.
// Ctrl-C stops a whole pipeline, and tcpdump writes its last packets only then.
const lingerTime = 3 * time.Second

var (
	errStopped  = errors.New("stopped by a signal before the end of its input")
	errPipeOpen = fmt.Errorf("whoever writes to it had not ended %v after the signal", lingerTime)
	errNoSink   = errors.New("no sink is left")
)

// isPipe reports whether f is a pipe or a socket, to which a process may be writing.
func isPipe(f *os.File) bool {
	is, err := f.Stat()
	return err == nil && is.Mode()&(os.ModeNamedPipe|os.ModeSocket) != 0
}

// lingering returns a context that outlasts ctx by lingerTime, unless ctx has ended for
// want of a sink. The function returned must be called when reading is over.
func lingering(ctx context.Context) (reading context.Context, done func()) {
	reading, end := context.WithCancelCause(context.WithoutCancel(ctx))
	unhook := context.AfterFunc(ctx, func() {
		if why := context.Cause(ctx); errors.Is(why, errNoSink) {
			end(why)
			return
		}
		time.AfterFunc(lingerTime, func() { end(errPipeOpen) })
	})
	return reading, func() {
		unhook()
		end(nil)
	}
}

// pollMillis is the time, in milliseconds, after which a waiting reader checks its context.
const pollMillis = 200

// A patientReader reads a file that may have no data yet, such as a pipe or a terminal,
// and stops waiting when its context ends. It polls because standard input has no
// deadlines.
type patientReader struct {
	ctx  context.Context
	file *os.File
}

func (r patientReader) Read(p []byte) (int, error) {
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
