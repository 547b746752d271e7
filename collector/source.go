package collector

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/collector/sockfile"
	"github.com/dnstap-pdns/dnstap-pdns/conf/certs"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A Source is one listening socket and the connections made to it.
type Source struct {
	base     *slog.Logger
	open     func() transform.Lane
	listener net.Listener
	socket   *sockfile.Listener // the listener; nil on TCP and on an inherited socket
	close    func() error       // closes the listener, once

	inherited *sockfile.File // of an inherited Unix socket; nil if it was not at its path

	mu          sync.Mutex
	log         *slog.Logger // base with the source's name
	config      Config
	tls         *certs.Credentials // nil: no TLS
	conns       map[*conn]struct{}
	stats       Stats
	limitLogged bool       // it was logged that MaxConnections are open
	perMinute   minuteRate // of new connections
	failure     HandshakeFailure
	problem     SocketProblem // of the socket file; zero: none
}

// A HandshakeFailure is the latest handshake that failed. Peers that only connected do not count.
type HandshakeFailure struct {
	Time  time.Time // zero: none
	Error string
}

// Stats counts the connections of a source. As JSON it is part of the response of /ledger,
// under the names of its rows.
type Stats struct {
	Open             int    `json:"open"`
	Accepted         uint64 `json:"accepted"` // includes those that are open
	Refused          uint64 `json:"refused"`
	Displaced        uint64 `json:"displaced"`
	AcceptErrors     uint64 `json:"accept_errors"`
	HandshakesFailed uint64 `json:"handshakes_failed"` // no START, or a wrong one
	Broken           uint64 `json:"broken"`            // after START
	SocketsRestored  uint64 `json:"sockets_restored"`
}

// Rows returns the counts with their meanings.
func (s *Stats) Rows() []transform.Row {
	return []transform.Row{
		{Name: "open", Meaning: "connections that are open, in their handshake or after it", Kind: transform.Gauge, Value: uint64(s.Open)},
		{Name: "accepted", Metric: "connections_accepted_total", Meaning: "connections accepted", Value: s.Accepted},
		{Name: "refused", Metric: "connections_refused_total", Meaning: "connections closed at once, because max_connections were open", Value: s.Refused},
		{Name: "displaced", Metric: "connections_displaced_total", Meaning: "connections closed to admit another peer, because max_connections were open", Value: s.Displaced},
		{Name: "accept_errors", Metric: "accept_errors_total", Meaning: "failures to accept a connection", Value: s.AcceptErrors},
		{Name: "handshakes_failed", Metric: "handshakes_failed_total", Meaning: "connections closed before a valid START frame", Value: s.HandshakesFailed},
		{Name: "broken", Metric: "connections_broken_total", Meaning: "connections closed because of broken framing", Value: s.Broken},
		{Name: "sockets_restored", Metric: "sockets_restored_total", Meaning: "times that the socket file was created again after it was removed or replaced", Value: s.SocketsRestored},
	}
}

// Run serves until ctx ends or the listener fails for good. It watches the file of a Unix
// socket. It returns when every connection's goroutine has ended. It reads what resolvers sent
// before the end, for half a second at most.
func (s *Source) Run(ctx context.Context) error {
	serving, end := context.WithCancel(ctx)
	defer end()
	unhook := context.AfterFunc(serving, func() { s.close() }) // accept sees serving.Err() first
	defer unhook()

	var connections, watching sync.WaitGroup
	if s.socket != nil || s.inherited != nil {
		watching.Go(func() { s.watch(serving) })
	}
	err := s.accept(serving, &connections)
	end()
	connections.Wait()
	watching.Wait()
	return errors.Join(err, s.close())
}

// Close closes the listener, and removes the socket file if the source created it. Run does
// this when it ends; a Source that is never run is closed by the caller of Listen.
func (s *Source) Close() error { return s.close() }

// Addr returns where the source listens. If port 0 was configured, it has the port in use.
func (s *Source) Addr() net.Addr { return s.listener.Addr() }

// Reconfigure changes the configuration to cfg, which has the same address. Mode, owner and
// group change at once, if the source created the socket file. Name, limits and TLS apply to
// new connections only. After an error nothing has changed. undo restores the previous
// configuration and its loaded TLS files, even if these have changed.
func (s *Source) Reconfigure(cfg Config) (undo func() error, err error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if cfg.Network != s.config.Network || cfg.Address != s.config.Address {
		return nil, fmt.Errorf("a source on %s://%s cannot become one on %s://%s",
			s.config.Network, s.config.Address, cfg.Network, cfg.Address)
	}
	creds, err := s.credentials(cfg.TLS)
	if err != nil {
		return nil, err
	}
	was, wasTLS := s.config, s.tls
	if err := s.apply(cfg, creds); err != nil {
		return nil, errors.Join(err, s.apply(was, wasTLS))
	}
	return func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.apply(was, wasTLS)
	}, nil
}

// apply sets a checked configuration. s.mu is held.
func (s *Source) apply(cfg Config, creds *certs.Credentials) error {
	if s.socket != nil {
		if err := s.socket.Grant(cfg.access()); err != nil {
			return err
		}
	}
	s.config, s.tls = cfg, creds
	s.log = s.base.With("source", cfg.Name)
	if creds != nil {
		creds.LogTo(s.log)
	}
	return nil
}

// credentials returns the credentials of the files, nil for none. For the files in use it
// returns the credentials in use, after these have read changed files.
func (s *Source) credentials(files certs.Files) (*certs.Credentials, error) {
	switch {
	case files == (certs.Files{}):
		return nil, nil
	case s.tls != nil && s.tls.Files == files:
		s.tls.CurrentConfig()
		return s.tls, nil
	}
	return certs.Load(files, s.log)
}

// logger returns the log with the source's current name.
func (s *Source) logger() *slog.Logger {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log
}

// Connections returns the connections that have sent START, oldest first.
func (s *Source) Connections() []Connection {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Connection
	for c := range s.conns {
		if shown, began := c.show(); began {
			all = append(all, shown)
		}
	}
	slices.SortFunc(all, func(a, b Connection) int { return cmp.Compare(a.Number, b.Number) })
	return all
}

// Stats returns the current counts.
func (s *Source) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.stats
	stats.Open = len(s.conns)
	return stats
}

// Failure returns the latest failure of a handshake.
func (s *Source) Failure() HandshakeFailure {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failure
}

// Certificate describes the certificate that a new connection would receive. It reads the
// files again if they changed. It returns false without TLS.
func (s *Source) Certificate() (certs.Certificate, bool) {
	s.mu.Lock()
	creds := s.tls
	s.mu.Unlock()
	if creds == nil {
		return certs.Certificate{}, false
	}
	return creds.Certificate(), true
}

// Exclusions returns the resolvers' users on this machine that cannot connect to the socket
// as it is; see [sockfile.CurrentExclusions]. A TCP source excludes no user.
func (s *Source) Exclusions() ([]sockfile.Exclusion, error) {
	s.mu.Lock()
	network, path := s.config.Network, s.config.Address
	s.mu.Unlock()
	if network != "unix" {
		return nil, nil
	}
	return sockfile.CurrentExclusions(path, s.socket == nil)
}
