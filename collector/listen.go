package collector

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"

	"github.com/dnstap-pdns/dnstap-pdns/collector/sockfile"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// Listen binds the source's socket, so that resolvers can connect. Run serves them. open
// returns the lane of a new connection. The caller must call Run or Close.
func Listen(cfg Config, open func() transform.Lane, log *slog.Logger) (*Source, error) {
	s, err := newSource(cfg, open, log)
	if err != nil {
		return nil, err
	}
	if cfg.Network == "unix" {
		s.socket, err = sockfile.Listen(cfg.Address, cfg.access())
		s.listener = s.socket
	} else {
		s.listener, err = ListenTCP(cfg.Address)
	}
	if err != nil {
		return nil, listenError(cfg, err)
	}
	s.log.Info("listening", "network", cfg.Network, "address", s.listener.Addr().String())
	return s, nil
}

func listenError(cfg Config, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("listening on %s://%s: %w", cfg.Network, cfg.Address, withoutAddress(err))
}

// ListenOn is Listen on a socket that another process created at the address of cfg, for
// example systemd. The source closes l when it ends. It does not remove the socket's file and
// ignores mode, owner and group of cfg. After an error the caller still owns l.
func ListenOn(l net.Listener, cfg Config, open func() transform.Lane, log *slog.Logger) (*Source, error) {
	s, err := newSource(cfg, open, log)
	if err != nil {
		return nil, err
	}
	s.listener = l
	if cfg.Network == "unix" {
		if s.inherited, err = sockfile.Identify(cfg.Address); err != nil {
			s.log.Warn("the file of the inherited socket is not watched, because it is not at its path", "error", err)
		}
	}
	s.log.Info("listening on an inherited socket", "network", cfg.Network, "address", l.Addr().String())
	return s, nil
}

// newSource returns a source without a listener.
func newSource(cfg Config, open func() transform.Lane, log *slog.Logger) (*Source, error) {
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
	s.close = sync.OnceValue(func() error { return s.listener.Close() })
	var err error
	s.tls, err = s.credentials(cfg.TLS)
	return s, err
}

// ListenTCP listens on HOST:PORT. On 0.0.0.0 it listens for IPv4 only; package net would
// listen for IPv6 too.
func ListenTCP(address string) (net.Listener, error) {
	network := "tcp"
	if at, err := netip.ParseAddrPort(address); err == nil && at.Addr().Is4() {
		network = "tcp4"
	}
	return net.Listen(network, address)
}
