package collector

import (
	"context"
	"log/slog"
	"time"
)

// toldPerMinute is how many connections a minute are told of above debug level:
// far more than resolvers make, and no more than a log can bear.
const toldPerMinute = 60

// A pace counts connections by the minute.
type pace struct {
	since time.Time
	count int
}

// step counts one, and returns how many that makes in this minute.
func (p *pace) step(now time.Time) int {
	if now.Sub(p.since) >= time.Minute {
		*p = pace{since: now}
	}
	p.count++
	return p.count
}

// quiet writes what it is given at debug level.
type quiet struct{ slog.Handler }

func (q quiet) Enabled(ctx context.Context, _ slog.Level) bool {
	return q.Handler.Enabled(ctx, slog.LevelDebug)
}

func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	r.Level = slog.LevelDebug
	return q.Handler.Handle(ctx, r)
}

func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(attrs)} }
func (q quiet) WithGroup(name string) slog.Handler       { return quiet{q.Handler.WithGroup(name)} }
