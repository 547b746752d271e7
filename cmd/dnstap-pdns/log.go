package main

import (
	"bytes"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/conf"
)

// newLogger returns the logger of a configuration. level can be changed while it is in use.
func newLogger(c conf.Log, std stdio, level *slog.LevelVar) *slog.Logger {
	level.Set(c.Level)
	o := &slog.HandlerOptions{Level: level, ReplaceAttr: std.secrets.maskAttr}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(std.err, o))
	}
	return slog.New(slog.NewTextHandler(std.err, o))
}

// logWarnings logs the warnings that check prints for a configuration.
func logWarnings(log *slog.Logger, file *conf.File) {
	for _, w := range file.Warnings() {
		log.Warn(w.Problem, "remedy", w.Advice)
	}
}

// quietLogger returns a logger of warnings and errors only.
func quietLogger(c conf.Log, std stdio) *slog.Logger {
	var level slog.LevelVar
	log := newLogger(c, std, &level)
	level.Set(max(level.Level(), slog.LevelWarn))
	return log
}

const (
	maxLogLines = 1024
	// logWait is the longest time for which a caller waits until its line is written, so that
	// the line precedes its consequences. If earlier lines are queued it does not wait.
	logWait = 100 * time.Millisecond
	// closeWait is the longest time for which Close waits until lines are written.
	closeWait = time.Second
)

// A logQueue buffers lines for a writer that may block: a pipe that is not read must not delay
// the handshake of a resolver or a stop. When the queue is full it drops lines, and reports
// their number later.
type logQueue struct {
	lines chan logLine
	lost  atomic.Uint64 // lines dropped and not reported
	end   chan struct{} // closed by Close
	done  chan struct{} // closed when run has ended
}

type logLine struct {
	text    []byte
	written chan struct{} // closed when the line is written
}

// newLogQueue returns a queue that writes to w until Close. It calls reportLost with the number
// of lines that it dropped, to log them to w.
func newLogQueue(w io.Writer, reportLost func(lost uint64)) *logQueue {
	q := &logQueue{lines: make(chan logLine, maxLogLines), end: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(q.done)
		q.run(w, reportLost)
	}()
	return q
}

func (q *logQueue) run(w io.Writer, reportLost func(lost uint64)) {
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
			reportLost(n)
		}
	}
}

// Write queues a copy of a line. It never fails, and waits for at most logWait.
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
	case <-time.After(logWait):
	}
	return len(text), nil
}

// Close waits until queued lines are written, for at most closeWait. The queue drops lines that
// are written to it afterwards.
func (q *logQueue) Close() {
	close(q.end)
	select {
	case <-q.done:
	case <-time.After(closeWait):
	}
}
