package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// lingerTime is how long a pipe is read on after a signal, if it does not end before.
// Ctrl-C tells a whole pipeline to stop, and tcpdump writes what it has left only then.
const lingerTime = 3 * time.Second

var (
	errStopped  = errors.New("stopped by a signal before the end of its input")
	errPipeOpen = fmt.Errorf("whoever writes to it had not ended %v after the signal", lingerTime)
	errNoSink   = errors.New("no sink is left")
)

// isPipe reports whether somebody may be writing to a file's other end.
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
