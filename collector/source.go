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

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A Source is one listening socket and the connections made to it.
type Source struct {
	base     *slog.Logger
	open     func() Lane
	listener net.Listener
	socket   *socketFile // nil on TCP, and where the socket is inherited
	close    func() error

	mu      sync.Mutex
	log     *slog.Logger // base, with the source's name
	config  Config
	tls     *credentials // nil: none
	conns   map[*conn]struct{}
	stats   Stats
	crowded bool // since MaxConnections were open
	pace    pace // of new connections
}

// Stats counts what happened at a source besides its messages. As JSON it is part of
// what /ledger answers, under the names of its rows.
type Stats struct {
	Open             int    `json:"open"`
	Accepted         uint64 `json:"accepted"` // includes those that are open
	Refused          uint64 `json:"refused"`
	Displaced        uint64 `json:"displaced"`
	AcceptErrors     uint64 `json:"accept_errors"`
	HandshakesFailed uint64 `json:"handshakes_failed"` // no START, or a wrong one
	Broken           uint64 `json:"broken"`            // after START
}

// Rows returns the counts with their meanings.
func (s *Stats) Rows() []transform.Row {
	return []transform.Row{
		{Name: "open", Meaning: "connections that are open, in their handshake or after it", Kind: transform.Gauge, Value: uint64(s.Open)},
		{Name: "accepted", Metric: "connections_accepted_total", Meaning: "connections that there were", Value: s.Accepted},
		{Name: "refused", Metric: "connections_refused_total", Meaning: "connections closed at once, because max_connections were open", Value: s.Refused},
		{Name: "displaced", Metric: "connections_displaced_total", Meaning: "connections closed for a newcomer's sake, because max_connections were open", Value: s.Displaced},
		{Name: "accept_errors", Metric: "accept_errors_total", Meaning: "failures to accept a connection", Value: s.AcceptErrors},
		{Name: "handshakes_failed", Metric: "handshakes_failed_total", Meaning: "connections that never said how they speak", Value: s.HandshakesFailed},
		{Name: "broken", Metric: "connections_broken_total", Meaning: "connections closed because of broken framing", Value: s.Broken},
	}
}

// Listen binds the source's socket, so that resolvers can connect; they are
// served once Run is called. open makes the lane of one connection.
func Listen(cfg Config, open func() Lane, log *slog.Logger) (*Source, error) {
	s, err := newSource(cfg, open, log)
	if err != nil {
		return nil, err
	}
	if cfg.Network == "unix" {
		s.listener, s.socket, err = listenUnix(cfg)
	} else {
		s.listener, err = ListenTCP(cfg.Address)
	}
	if err != nil {
		return nil, fmt.Errorf("listening on %s://%s: %w", cfg.Network, cfg.Address, withoutAddress(err))
	}
	s.log.Info("listening", "network", cfg.Network, "address", s.listener.Addr().String())
	return s, nil
}

// ListenOn is Listen on a socket that somebody else made at the address of cfg, systemd
// say. The source closes l when it ends, but the socket's file is not its own: it stays,
// and has not the mode, owner and group of cfg. With an error l is still the caller's.
func ListenOn(l net.Listener, cfg Config, open func() Lane, log *slog.Logger) (*Source, error) {
	s, err := newSource(cfg, open, log)
	if err != nil {
		return nil, err
	}
	s.listener = l
	s.log.Info("listening on an inherited socket", "network", cfg.Network, "address", l.Addr().String())
	return s, nil
}

// newSource returns a source that has no listener yet.
func newSource(cfg Config, open func() Lane, log *slog.Logger) (*Source, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	s := &Source{
		base:   log,
		log:    log.With("source", cfg.Name),
		open:   open,
		config: cfg,
		conns:  map[*conn]struct{}{},
	}
	s.close = sync.OnceValue(s.closeSocket)
	var err error
	s.tls, err = s.credentials(cfg.TLS)
	return s, err
}

func (c *Config) check() error {
	switch {
	case c.Network != "unix" && c.Network != "tcp":
		return fmt.Errorf("network %q: only unix and tcp are served", c.Network)
	case c.MaxConnections < 1:
		return fmt.Errorf("at most %d connections: there must be at least 1", c.MaxConnections)
	case c.MaxFrame < 1:
		return fmt.Errorf("frames of at most %d bytes: there must be at least 1", c.MaxFrame)
	case c.HandshakeTimeout <= 0:
		return fmt.Errorf("handshake timeout %v: it must be above 0", c.HandshakeTimeout)
	case c.TLS != (TLS{}) && c.Network != "tcp":
		return fmt.Errorf("TLS over network %q: only tcp has it", c.Network)
	}
	return nil
}

// Run serves until ctx ends or the listener fails for good. It returns when every
// connection's goroutine has ended; what resolvers had sent by then is read, for
// half a second at most.
func (s *Source) Run(ctx context.Context) error {
	serving, end := context.WithCancel(ctx)
	defer end()
	unhook := context.AfterFunc(serving, func() { s.close() }) // after serving.Err() tells accept why
	defer unhook()

	var connections sync.WaitGroup
	err := s.accept(serving, &connections)
	end()
	connections.Wait()
	return errors.Join(err, s.close())
}

// Close closes the listener and removes its socket file, if it made it. Run does so itself when
// it ends; a Source that is never run is closed by whoever opened it.
func (s *Source) Close() error { return s.close() }

func (s *Source) closeSocket() error {
	var removed error
	if s.socket != nil {
		removed = s.socket.remove() // while the socket is open, its inode's number is no other's
	}
	return errors.Join(removed, s.listener.Close())
}

// Addr is where the source listens, with the port that was given where 0 was asked.
func (s *Source) Addr() net.Addr { return s.listener.Addr() }

// Reconfigure gives the source another configuration of the same address. Mode, owner
// and group of a socket file that it made change in place; name, limits and TLS are for the
// connections that come, those that are there stay as they are. With an error
// nothing has changed; undo makes it so afterwards, whatever became of the files
// that the configuration before names.
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
	if err := s.become(cfg, creds); err != nil {
		return nil, errors.Join(err, s.become(was, wasTLS))
	}
	return func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.become(was, wasTLS)
	}, nil
}

// become is Reconfigure to what is known to be right. s.mu is held.
func (s *Source) become(cfg Config, creds *credentials) error {
	if s.socket != nil {
		if err := s.socket.grant(cfg); err != nil {
			return err
		}
	}
	s.config, s.tls = cfg, creds
	s.log = s.base.With("source", cfg.Name)
	if creds != nil {
		creds.logTo(s.log)
	}
	return nil
}

// credentials returns those for files; the ones in use, if they are of the same
// files, which are looked at again.
func (s *Source) credentials(files TLS) (*credentials, error) {
	switch {
	case files == (TLS{}):
		return nil, nil
	case s.tls != nil && s.tls.files == files:
		s.tls.current()
		return s.tls, nil
	}
	return newCredentials(files, s.log)
}

// logger returns the log under the source's present name.
func (s *Source) logger() *slog.Logger {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log
}

// Connections returns the connections that have said START, the oldest first.
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

// Stats returns the source's counts as of now.
func (s *Source) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.stats
	stats.Open = len(s.conns)
	return stats
}
