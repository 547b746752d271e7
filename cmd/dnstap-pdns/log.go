package main

import (
	"log/slog"

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
