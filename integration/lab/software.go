package lab

import (
	"path/filepath"
	"strconv"
	"testing"
)

// software is a resolver as Debian ships it.
type software struct {
	program   string
	templates []string // of its configuration files, by name
	args      func(settings) []string
	user      string                    // the user that Debian runs it as; also the name of its group
	quit      func(dir string) []string // the command that ends it; nil: SIGTERM
}

var (
	unbound = software{
		program:   "unbound",
		templates: []string{"unbound.conf"},
		args: func(s settings) []string {
			return []string{"-d", "-c", filepath.Join(s.Dir, "unbound.conf")}
		},
		user: "unbound",
		quit: func(dir string) []string {
			return []string{"unbound-control", "-c", filepath.Join(dir, "unbound.conf"), "stop"}
		},
	}
	bind = software{
		program:   "named",
		templates: []string{"named.conf", "rndc.key"},
		args: func(s settings) []string {
			args := []string{"-g", "-n", strconv.Itoa(s.Threads), "-c", filepath.Join(s.Dir, "named.conf")}
			if s.User != "" {
				args = append(args, "-u", s.User)
			}
			return args
		},
		user: "bind",
		quit: func(dir string) []string {
			return []string{"rndc", "-k", filepath.Join(dir, "rndc.key"), "-s", "127.0.0.1", "stop"}
		},
	}
	powerDNS = software{
		program:   "pdns_recursor",
		templates: []string{"recursor.conf", "recursor.lua"},
		args:      func(s settings) []string { return []string{"--config-dir=" + s.Dir} },
		user:      "pdns",
		quit: func(dir string) []string {
			return []string{"rec_control", "--config-dir=" + dir, "quit"}
		},
	}
	knot = software{
		program:   "kresd",
		templates: []string{"kresd.conf"},
		args: func(s settings) []string {
			return []string{"-n", "-c", filepath.Join(s.Dir, "kresd.conf"), s.Dir}
		},
	}
)

// Unbound starts Unbound, which sends resolver, forwarder and client messages.
func (w *World) Unbound(t testing.TB, o Options) *Resolver {
	t.Helper()
	return w.startResolver(t, unbound, o, testAddresses(o))
}

// BIND starts BIND, which sends resolver and client messages, over Unix sockets only.
func (w *World) BIND(t testing.TB, o Options) *Resolver {
	t.Helper()
	return w.startResolver(t, bind, o, testAddresses(o))
}

// PowerDNS starts PowerDNS Recursor, which sends resolver messages only. It needs an
// explicit outgoing address: otherwise it logs the address that the kernel chose, which on
// loopback is that of the server.
func (w *World) PowerDNS(t testing.TB, o Options) *Resolver {
	t.Helper()
	return w.startResolver(t, powerDNS, o, testAddresses(o))
}

// Knot starts Knot Resolver, which sends client messages only, over Unix sockets only. It is
// one process with one thread; o.Threads is ignored.
func (w *World) Knot(t testing.TB, o Options) *Resolver {
	t.Helper()
	return w.startResolver(t, knot, o, testAddresses(o))
}

// Upstream starts the resolver that others forward to: an Unbound without dnstap.
func (w *World) Upstream(t testing.TB) *Resolver {
	t.Helper()
	return w.Neighbour(t, Options{})
}

// Neighbour starts an Unbound in addition to the resolver under test, with the addresses of
// Upstream. It asks servers over IPv4 only.
func (w *World) Neighbour(t testing.TB, o Options) *Resolver {
	t.Helper()
	return w.startResolver(t, unbound, o, upstreamAddresses)
}
