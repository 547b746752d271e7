package collector

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/conf/certs"
	"github.com/dnstap-pdns/dnstap-pdns/conf/certs/certstest"
)

func TestUnspecifiedIPv4AddressDoesNotListenOnIPv6(t *testing.T) {
	for address, wantIPv6 := range map[string]bool{"0.0.0.0:0": false, "127.0.0.1:0": false, "[::]:0": true, "[::1]:0": true} {
		l, err := ListenTCP(address)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		at := l.Addr().(*net.TCPAddr).AddrPort()
		nc, err := net.Dial("tcp6", netip.AddrPortFrom(netip.IPv6Loopback(), at.Port()).String())
		if err == nil {
			nc.Close()
		}
		if (err == nil) != wantIPv6 {
			t.Errorf("%s, reached over IPv6: %v", address, err)
		}
	}
}

func TestListenRefusesInvalidConfigurations(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	tests := []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"network", func(c *Config) { c.Network = "udp" }, `network "udp": only unix and tcp are served`},
		{"no connections", func(c *Config) { c.MaxConnections = 0 }, "at most 0 connections"},
		{"no frames", func(c *Config) { c.MaxFrame = 0 }, "frames of at most 0 bytes"},
		{"no time", func(c *Config) { c.HandshakeTimeout = 0 }, "handshake timeout 0s"},
		{"TLS on a Unix socket", func(c *Config) { c.TLS.Cert = "cert.pem" }, `TLS over network "unix": only tcp has it`},
		{"TLS files", func(c *Config) { c.Network, c.Address, c.TLS = "tcp", "127.0.0.1:0", certs.Files{Cert: "/none"} },
			"TLS cert: open /none: no such file"},
		{"socket path", func(c *Config) { c.Address = "dnstap.sock" }, "listening on unix://dnstap.sock: a socket needs an absolute path"},
		{"socket's owner", func(c *Config) { c.Owner = "no-such-user-here" }, `there is no user "no-such-user-here" on this machine`},
		{"socket's group", func(c *Config) { c.Group = "no-such-group-here" }, `there is no group "no-such-group-here" on this machine`},
		{"port in use", func(c *Config) { c.Network, c.Address = "tcp", busy.Addr().String() }, "address already in use"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := unixConfig(t)
			tt.change(&cfg)
			s, err := Listen(cfg, nil, (&logBuffer{}).logger())
			if err == nil {
				s.Close()
				t.Fatal("it listens")
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %q, want %q in it", err, tt.want)
			}
		})
	}
}

// listenOnly listens without serving.
func listenOnly(t *testing.T, cfg Config) (*Source, error) {
	t.Helper()
	s, err := Listen(cfg, nil, (&logBuffer{}).logger())
	if err == nil {
		t.Cleanup(func() { s.Close() })
	}
	return s, err
}

func TestListenReadsTheTLSFiles(t *testing.T) {
	cfg, _ := tlsConfig(t, certstest.NewCA(t, "CA"), nil)
	if _, err := listenOnly(t, cfg); err != nil {
		t.Fatal(err)
	}
}

// An error contains the address once, without the address that package net adds.
func TestListenErrorNamesTheAddressOnce(t *testing.T) {
	cfg := unixConfig(t)
	if _, err := listenOnly(t, cfg); err != nil {
		t.Fatal(err)
	}
	_, err := listenOnly(t, cfg)
	if want := "listening on unix://" + cfg.Address + ": another process listens there; stop it, or choose another path"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestSocketChangesWithTheConfiguration(t *testing.T) {
	cfg := unixConfig(t)
	s, err := listenOnly(t, cfg)
	if err != nil {
		t.Fatal(err)
	}
	expectMode := func(want os.FileMode) {
		t.Helper()
		if info, err := os.Lstat(cfg.Address); err != nil || info.Mode() != os.ModeSocket|want {
			t.Errorf("mode %v, %v; want %v", info.Mode(), err, want)
		}
	}
	expectMode(0o660)
	cfg.Mode = 0o620
	undo, err := s.Reconfigure(cfg)
	if err != nil {
		t.Fatal(err)
	}
	expectMode(0o620)
	if err := undo(); err != nil {
		t.Fatal(err)
	}
	expectMode(0o660)
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Errorf("closing twice: %v", err)
	}
	if _, err := os.Lstat(cfg.Address); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket file is still there: %v", err)
	}
}

func TestReconfigureLeavesAnotherSocketAlone(t *testing.T) {
	cfg := unixConfig(t)
	s, err := listenOnly(t, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(cfg.Address); err != nil {
		t.Fatal(err)
	}
	if _, err := listenOnly(t, cfg); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Reconfigure(cfg); err == nil || !strings.Contains(err.Error(), "removed or replaced") {
		t.Errorf("changed the successor's socket: %v", err)
	}
}

func TestExclusionsOfTCPAndUnknownOwners(t *testing.T) {
	if got, err := PredictExclusions(testConfig("tcp", "127.0.0.1:0")); got != nil || err != nil {
		t.Errorf("TCP: got %+v, %v", got, err)
	}
	s, err := listenOnly(t, testConfig("tcp", "127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.Exclusions(); got != nil || err != nil {
		t.Errorf("an open TCP source: got %+v, %v", got, err)
	}
	cfg := unixConfig(t)
	cfg.Owner = "no-such-user-here"
	if _, err := PredictExclusions(cfg); err == nil || !strings.Contains(err.Error(), "no-such-user-here") {
		t.Errorf("got %v", err)
	}
}

// A source does not change the file of an inherited socket, and reports its access as it is.
func TestInheritedSocketKeepsItsAccess(t *testing.T) {
	cfg := unixConfig(t)
	if err := os.Chmod(cfg.Address[:len(cfg.Address)-len("/dnstap.sock")], 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", cfg.Address)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(cfg.Address, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.Mode = 0o666
	s, err := ListenOn(l, cfg, nil, (&logBuffer{}).logger())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Reconfigure(cfg); err != nil {
		t.Error(err)
	}
	if info, err := os.Lstat(cfg.Address); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	all, err := s.Exclusions()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		if !strings.Contains(e.Problem, "mode 0600") && !strings.Contains(e.Problem, "folder") {
			t.Errorf("%s: %s", e.User, e.Problem)
		}
	}
	os.Remove(cfg.Address)
	if _, err := s.Exclusions(); err == nil || !strings.Contains(err.Error(), cfg.Address) {
		t.Errorf("of a socket that is gone: %v", err)
	}
}

func TestConnectionsWaitForRun(t *testing.T) {
	cfg := unixConfig(t)
	if _, err := listenOnly(t, cfg); err != nil {
		t.Fatal(err)
	}
	nc, err := net.DialTimeout("unix", cfg.Address, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	send(t, nc, start)
}
