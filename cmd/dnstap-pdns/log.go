package main

import (
	"bytes"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/conf"
)

// newLogger returns the logger that the configuration asks for; its level can be
// changed while it is in use.
func newLogger(c conf.Log, std stdio, level *slog.LevelVar) *slog.Logger {
	level.Set(c.Level)
	o := &slog.HandlerOptions{Level: level, ReplaceAttr: std.secrets.maskAttr}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(std.err, o))
	}
	return slog.New(slog.NewTextHandler(std.err, o))
}

// logWarnings logs what check prints about a configuration.
func logWarnings(log *slog.Logger, file *conf.File) {
	for _, w := range file.Warnings() {
		log.Warn(w.Problem, "remedy", w.Advice)
	}
}

// quietLogger returns a logger of warnings and errors, for commands that print the rest.
func quietLogger(c conf.Log, std stdio) *slog.Logger {
	var level slog.LevelVar
	log := newLogger(c, std, &level)
	level.Set(max(level.Level(), slog.LevelWarn))
	return log
}

const (
	maxLogLines = 1024
	// logPatience is how long a caller waits for its line to be written, so that the
	// line comes before its consequences. It does not wait if earlier lines wait.
	logPatience = 100 * time.Millisecond
	// lastWords is how long Close waits for lines to be written.
	lastWords = time.Second
)

// A logQueue buffers lines for a writer that may block: a pipe that is not read must delay
// neither a resolver's handshake nor a stop. When the queue is full lines are dropped;
// their number is logged once there is room again.
type logQueue struct {
	lines chan logLine
	lost  atomic.Uint64
	end   chan struct{} // closed by Close
	done  chan struct{} // closed when run has ended
}

type logLine struct {
	text    []byte
	written chan struct{} // closed when the line is written
}

// newLogQueue returns a queue that writes to w until Close. confess logs to w how many lines
// were dropped.
func newLogQueue(w io.Writer, confess func(lost uint64)) *logQueue {
	q := &logQueue{lines: make(chan logLine, maxLogLines), end: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(q.done)
		q.run(w, confess)
	}()
	return q
}

func (q *logQueue) run(w io.Writer, confess func(lost uint64)) {
	end := q.end
	for ended := false; !ended || len(q.lines) > 0; {
		select {
		case line := <-q.lines:
			w.Write(line.text) // an error cannot be logged anywhere
			close(line.written)
		case <-end:
			ended, end = true, nil
		}
		if len(q.lines) > 0 {
			continue
		}
		if n := q.lost.Swap(0); n > 0 {
			confess(n)
		}
	}
}

// Write queues a copy of a line. It never fails, and waits for at most logPatience.
func (q *logQueue) Write(text []byte) (int, error) {
	line := logLine{bytes.Clone(text), make(chan struct{})}
	select {
	case q.lines <- line:
	default:
		q.lost.Add(1)
		return len(text), nil
	}
	if len(q.lines) > 1 {
		return len(text), nil
	}
	select {
	case <-line.written:
	case <-time.After(logPatience):
	}
	return len(text), nil
}

// Close waits until queued lines are written, for at most lastWords. Lines that are written
// to the queue afterwards are dropped.
func (q *logQueue) Close() {
	close(q.end)
	select {
	case <-q.done:
	case <-time.After(lastWords):
	}
}
