package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/dnstap-pdns/dnstap-pdns/conf"
)

// newLogger returns the logger of a configuration. level can be changed while it is in use.
func newLogger(c conf.Log, std stdio, level *slog.LevelVar) *slog.Logger {
	level.Set(c.Level)
	o := &slog.HandlerOptions{Level: level, ReplaceAttr: std.secrets.maskAttr}
	format := func(w io.Writer) slog.Handler {
		if c.Format == "json" {
			return slog.NewJSONHandler(w, o)
		}
		return slog.NewTextHandler(w, o)
	}
	if std.journal {
		return slog.New(newJournalHandler(std.err, format))
	}
	return slog.New(format(std.err))
}

// logsEverything reports whether run must write nothing but log lines to standard error, because a
// program reads them.
func logsEverything(c conf.Log, std stdio) bool { return c.Format == "json" || std.journal }

// logDiagnostics logs the diagnostics of a configuration, which are errors.
func logDiagnostics(log *slog.Logger, file *conf.File, diags hcl.Diagnostics) {
	for _, d := range diags {
		var attrs []slog.Attr
		if place := file.Place(d); place != "" {
			attrs = append(attrs, slog.String("place", place))
		}
		if d.Detail != "" {
			attrs = append(attrs, slog.String("remedy", d.Detail))
		}
		log.LogAttrs(context.Background(), slog.LevelError, d.Summary, attrs...)
	}
}

// logFailure writes the error with which run ends, unless its diagnostics were logged, and returns
// the exit status: with log as one log line; else, for the journal, each line of the error as it
// is, because an error may contain a file for the operator to write.
func logFailure(log *slog.Logger, err error, std stdio) error {
	if err == nil {
		return nil
	}
	status, message, cause := exitStatus(exitFailed), "the sensor failed", err
	if bad, ok := errors.AsType[*usageError](err); ok {
		status, message, cause = exitUsage, "the sensor cannot start", bad.error
	}
	switch {
	case cause == nil:
	case log != nil:
		log.Error(message, "error", cause)
	default:
		for line := range strings.Lines(message + ": " + std.secrets.mask(cause.Error()) + "\n") {
			fmt.Fprintf(std.err, "<%d>%s", priorityOf(slog.LevelError), line)
		}
	}
	return status
}

// logWarnings logs the warnings that check prints for a configuration.
func logWarnings(log *slog.Logger, all []conf.Warning, s *secrets) {
	for _, w := range all {
		log.Warn(s.mask(w.Problem), "remedy", w.Advice)
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
