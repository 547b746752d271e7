package collector

import (
	"crypto/tls"
	"log/slog"
	"sync"
	"time"
)

// credentials are a source's TLS files as they were when last they could be used.
type credentials struct {
	files TLS

	mu      sync.Mutex
	log     *slog.Logger // the source's: a connection's may be quiet
	inForce loaded
	problem string // with the files since then; empty: none
}

func newCredentials(files TLS, log *slog.Logger) (*credentials, error) {
	l, err := files.load()
	if err != nil {
		return nil, err
	}
	return &credentials{files: files, log: log, inForce: l}, nil
}

// logTo names another log.
func (c *credentials) logTo(log *slog.Logger) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.log = log
}

// A Certificate is what a source shows, as far as somebody must act in time.
type Certificate struct {
	Expires time.Time
	Problem string // with the files since they were read; empty: none
}

// Certificate returns what a new connection would be shown; false without TLS. It
// looks at the files as a handshake does.
func (s *Source) Certificate() (Certificate, bool) {
	s.mu.Lock()
	creds := s.tls
	s.mu.Unlock()
	if creds == nil {
		return Certificate{}, false
	}
	shown := creds.current().Certificates[0].Leaf
	creds.mu.Lock()
	defer creds.mu.Unlock()
	return Certificate{Expires: shown.NotAfter, Problem: creds.problem}, true
}

// current returns what a new connection speaks TLS with. Files that changed are
// read again. If they cannot be used, what was read before stays in force, which is
// said once, and they are read each time until they can: the cause need not be
// theirs.
func (c *credentials) current() *tls.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.problem == "" && c.files.versions() == c.inForce.from {
		return c.inForce.config
	}
	l, err := c.files.load()
	switch {
	case err == nil:
		c.inForce, c.problem = l, ""
		c.log.Info("TLS files were read again", "expires", l.config.Certificates[0].Leaf.NotAfter)
	case err.Error() != c.problem:
		c.problem = err.Error()
		c.log.Warn("TLS files cannot be used; what was read before stays in force", "error", err)
	}
	return c.inForce.config
}
