package collector

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/collector/sockfile"
	"github.com/dnstap-pdns/dnstap-pdns/conf/certs"
)

// Config describes one dnstap source: where it listens, and the limits of its connections.
type Config struct {
	Name    string // the block's label
	Network string // "unix" or "tcp"
	Address string // absolute socket path, or host:port

	TLS certs.Files // TCP only; the zero value: no TLS

	// Unix socket only.
	Mode  os.FileMode // permission bits of the socket
	Owner string      // user name or number; empty: as created
	Group string      // group name or number; empty: as created

	MaxConnections   int           // at once; then new ones are refused, or displace one of a peer that has more
	MaxFrame         int           // bytes of one data frame; larger ones are skipped and counted
	HandshakeTimeout time.Duration // from accept to START
}

func (c *Config) access() sockfile.Access {
	return sockfile.Access{Mode: c.Mode, Owner: c.Owner, Group: c.Group}
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
	case c.TLS != (certs.Files{}) && c.Network != "tcp":
		return fmt.Errorf("TLS over network %q: only tcp has it", c.Network)
	}
	return nil
}

// Probe returns the error with which Listen would fail now, except that another process may
// listen at the address of cfg: inUse reports this. It removes what it creates.
func Probe(cfg Config) (inUse bool, err error) {
	if err := cfg.check(); err != nil {
		return false, err
	}
	if err := cfg.TLS.Check(); err != nil {
		return false, err
	}
	if cfg.Network == "unix" {
		inUse, err = sockfile.Probe(cfg.Address, cfg.access())
	} else {
		inUse, err = ProbeTCP(cfg.Address)
	}
	return inUse, listenError(cfg, err)
}

// ProbeTCP is Probe for ListenTCP.
func ProbeTCP(address string) (inUse bool, err error) {
	l, err := ListenTCP(address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return false, l.Close()
}

// PredictExclusions returns the resolvers' users on this machine that could not connect to a source
// of cfg if this process created its socket; see [sockfile.PredictExclusions]. A TCP source excludes
// no user.
func PredictExclusions(cfg Config) ([]sockfile.Exclusion, error) {
	if cfg.Network != "unix" {
		return nil, nil
	}
	return sockfile.PredictExclusions(cfg.Address, cfg.access())
}
