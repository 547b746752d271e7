package main

import (
	"log/slog"
	"slices"
	"sync"

	"github.com/dnstap-pdns/dnstap-pdns/conf"
)

// secrets masks what functions gave in the configurations that were read: errors and log
// lines of other packages quote paths, addresses and names of accounts. Nil masks nothing.
type secrets struct {
	mu    sync.Mutex
	files []*conf.File
}

// add masks the values of another configuration, too.
func (s *secrets) add(file *conf.File) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files = append(s.files, file)
}

// keep masks the values of this configuration only: after a reload the others are gone.
func (s *secrets) keep(file *conf.File) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files = []*conf.File{file}
}

// mask replaces each value by the expression that gave it.
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

// maskAttr masks a log line's attribute. The names of sources and sinks are no secrets.
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
