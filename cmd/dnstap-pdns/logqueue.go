package main

import (
	"bytes"
	"io"
	"sync/atomic"
	"time"
)

const (
	maxLogLines = 1024
	// lastWords is how long the end waits for whoever reads the log.
	lastWords = time.Second
)

// A logQueue stands between what logs and a writer that may take nothing for a while: a
// pipe that nobody reads must hold up neither a resolver's handshake nor a stop. Lines
// that find no room are lost, and once there is room again that is said.
type logQueue struct {
	lines chan []byte
	lost  atomic.Uint64
	end   chan struct{} // closed by Close
	done  chan struct{} // closed when nothing is written any more
}

// newLogQueue writes to w until Close; confess logs, to w itself, how many lines were lost.
func newLogQueue(w io.Writer, confess func(lost uint64)) *logQueue {
	q := &logQueue{lines: make(chan []byte, maxLogLines), end: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(q.done)
		q.run(w, confess)
	}()
	return q
}

func (q *logQueue) run(w io.Writer, confess func(lost uint64)) {
	for ended := false; !ended || len(q.lines) > 0; {
		select {
		case line := <-q.lines:
			w.Write(line) // there is nowhere to say that it failed
		case <-q.end:
			ended, q.end = true, nil
		}
		if len(q.lines) > 0 {
			continue
		}
		if n := q.lost.Swap(0); n > 0 {
			confess(n)
		}
	}
}

// Write takes a copy of a line. It never fails and never waits.
func (q *logQueue) Write(line []byte) (int, error) {
	select {
	case q.lines <- bytes.Clone(line):
	default:
		q.lost.Add(1)
	}
	return len(line), nil
}

// Close returns when what was logged before is written, or after a second if that takes
// longer. What is written to the queue afterwards is lost.
func (q *logQueue) Close() {
	close(q.end)
	select {
	case <-q.done:
	case <-time.After(lastWords):
	}
}
