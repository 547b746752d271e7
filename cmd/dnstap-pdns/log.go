package main

import (
	"io"
	"log/slog"

	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// newLogger returns the logger that the configuration asks for; its level can be
// changed while it is in use.
func newLogger(c conf.Log, w io.Writer, level *slog.LevelVar) *slog.Logger {
	level.Set(c.Level)
	o := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// logLedger writes the whole account in one line.
func logLedger(log *slog.Logger, l forward.Ledger) {
	attrs := countAttrs(&l.Total)
	for _, s := range l.Sources {
		attrs = append(attrs, slog.Group("source."+s.Name, countAttrs(&s.Counts)...))
	}
	for _, s := range l.Sinks {
		attrs = append(attrs, slog.Group("sink."+s.Name, sinkAttrs(&s)...))
	}
	log.Info("ledger", attrs...)
}

func countAttrs(c *transform.Counts) []any {
	dropped := []any{}
	for _, r := range transform.Reasons() {
		if n := c.Dropped[r]; n > 0 {
			dropped = append(dropped, slog.Uint64(r.String(), n))
		}
	}
	return []any{
		slog.Uint64("read", c.Read),
		slog.Uint64("records", c.Records),
		slog.Uint64("paired", c.Paired),
		slog.Uint64("held", c.Held),
		slog.Group("dropped", dropped...),
	}
}

func sinkAttrs(s *forward.SinkLedger) []any {
	lost := []any{}
	for _, why := range forward.Losses() {
		if n := s.Lost[why]; n > 0 {
			lost = append(lost, slog.Uint64(why.String(), n))
		}
	}
	return []any{
		slog.Uint64("offered", s.Offered),
		slog.Uint64("delivered", s.Delivered),
		slog.Uint64("queued", s.Queued),
		slog.Uint64("filtered", s.Filtered),
		slog.Group("lost", lost...),
	}
}
