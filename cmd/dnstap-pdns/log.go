package main

import (
	"io"
	"log/slog"

	"github.com/dnstap-pdns/dnstap-pdns/conf"
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

// quietLogger is for commands whose output tells the rest: it logs what goes wrong.
func quietLogger(c conf.Log, w io.Writer) *slog.Logger {
	var level slog.LevelVar
	log := newLogger(c, w, &level)
	level.Set(max(level.Level(), slog.LevelWarn))
	return log
}
