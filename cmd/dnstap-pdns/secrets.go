package main

import (
	"log/slog"
	"slices"
	"sync"

	"github.com/dnstap-pdns/dnstap-pdns/conf"
)

// secrets masks values from functions of the configuration in errors and log lines. Other
// packages quote such paths, addresses and account names. Nil masks nothing.
type secrets struct {
	mu    sync.Mutex
	files []*conf.File
}

// add also masks the values of another configuration.
func (s *secrets) add(file *conf.File) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files = append(s.files, file)
}

// keep masks only the values of this configuration, which a reload has put in force.
func (s *secrets) keep(file *conf.File) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files = []*conf.File{file}
}

// mask replaces each value in text by its expression in the configuration.
func (s *secrets) mask(text string) string {
	if s == nil {
		return text
	}
	s.mu.Lock()
	files := slices.Clone(s.files)
	s.mu.Unlock()
	for _, file := range files {
		text = file.Mask(text)
	}
	return text
}

// maskAttr masks an attribute of a log line. The names of sources and sinks are not secret.
func (s *secrets) maskAttr(_ []string, a slog.Attr) slog.Attr {
	switch a.Key {
	case slog.TimeKey, slog.LevelKey, slog.MessageKey, "source", "sink":
		return a
	}
	if kind := a.Value.Kind(); kind != slog.KindString && kind != slog.KindAny {
		return a
	}
	text := a.Value.String()
	if masked := s.mask(text); masked != text {
		a.Value = slog.StringValue(masked)
	}
	return a
}
