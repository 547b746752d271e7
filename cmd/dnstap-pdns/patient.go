package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// pollMillis is how long an input may keep a reader from seeing that it is to stop.
const pollMillis = 200

// A patientReader reads a file that may not have anything yet, a pipe or a
// terminal, and stops waiting when its context ends. Deadlines would not do:
// standard input has none.
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
		case n > 0: // there is something, or its end
			return r.file.Read(p)
		}
	}
}
