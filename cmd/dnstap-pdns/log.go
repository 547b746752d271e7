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
		log.Warn(w.Says, "remedy", w.Do)
	}
}

// quietLogger is for commands whose output tells the rest: it logs what goes wrong.
func quietLogger(c conf.Log, std stdio) *slog.Logger {
	var level slog.LevelVar
	log := newLogger(c, std, &level)
	level.Set(max(level.Level(), slog.LevelWarn))
	return log
}

const (
	maxLogLines = 1024
	// logPatience is how long whoever logs waits for the line to be written, so that
	// what comes of it comes after it; nobody does while lines wait already.
	logPatience = 100 * time.Millisecond
	// lastWords is how long the end waits for whoever reads the log.
	lastWords = time.Second
)

// A logQueue stands between what logs and a writer that may take nothing for a while: a
// pipe that nobody reads must hold up neither a resolver's handshake nor a stop. Lines
// that find no room are lost, and once there is room again that is said.
type logQueue struct {
	lines chan logLine
	lost  atomic.Uint64
	end   chan struct{} // closed by Close
	done  chan struct{} // closed when nothing is written any more
}

type logLine struct {
	text    []byte
	written chan struct{} // closed then
}

// newLogQueue writes to w until Close; confess logs, to w itself, how many lines were lost.
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
			w.Write(line.text) // there is nowhere to say that it failed
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

// Write takes a copy of a line. It never fails, and waits for logPatience at the most.
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

// Close returns when what was logged before is written, or after a second if that takes
// longer. What is written to the queue afterwards is lost.
func (q *logQueue) Close() {
	close(q.end)
	select {
	case <-q.done:
	case <-time.After(lastWords):
	}
}
