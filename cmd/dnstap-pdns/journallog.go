package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"
)

// A journalHandler writes log lines for the journal: with a priority (sd-daemon(3)), and without the
// time, which the journal records itself.
type journalHandler struct {
	slog.Handler // writes to lines
	lines        *priorityWriter
}

// A priorityWriter writes lines with a priority.
type priorityWriter struct {
	mu       sync.Mutex // held while a line is made and written
	priority int
	w        io.Writer
}

// newJournalHandler returns a handler for the journal. format makes the handler of lines.
func newJournalHandler(w io.Writer, format func(io.Writer) slog.Handler) slog.Handler {
	lines := &priorityWriter{w: w}
	return &journalHandler{format(lines), lines}
}

func (h *journalHandler) Handle(ctx context.Context, r slog.Record) error {
	h.lines.mu.Lock()
	defer h.lines.mu.Unlock()
	h.lines.priority = priorityOf(r.Level)
	r.Time = time.Time{} // such a time is not written
	return h.Handler.Handle(ctx, r)
}

func (h *journalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &journalHandler{h.Handler.WithAttrs(attrs), h.lines}
}

func (h *journalHandler) WithGroup(name string) slog.Handler {
	return &journalHandler{h.Handler.WithGroup(name), h.lines}
}

// Write writes one line, in one write. Handle holds the mutex.
func (p *priorityWriter) Write(line []byte) (int, error) {
	if _, err := p.w.Write(fmt.Appendf(nil, "<%d>%s", p.priority, line)); err != nil {
		return 0, err
	}
	return len(line), nil
}

// priorityOf returns the priority of syslog(3) for a level.
func priorityOf(level slog.Level) int {
	const errorPriority, warning, info, debug = 3, 4, 6, 7
	switch {
	case level >= slog.LevelError:
		return errorPriority
	case level >= slog.LevelWarn:
		return warning
	case level >= slog.LevelInfo:
		return info
	}
	return debug
}
