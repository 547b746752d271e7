package lab

import (
	"path/filepath"
	"testing"
)

// Unbound starts Debian's Unbound.
func (w *World) Unbound(t testing.TB, o Options) *Resolver {
	t.Helper()
	return w.startResolver(t, software{
		program:   "unbound",
		templates: []string{"unbound.conf"},
		args:      func(dir string) []string { return []string{"-d", "-c", filepath.Join(dir, "unbound.conf")} },
	}, o)
}
