package lab

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// Identity is what resolvers of the world call themselves in dnstap.
const Identity = "resolver1.univ.example"

// Tap is where a resolver sends its dnstap: a Unix socket's path, or an address.
type Tap struct {
	Path string
	Addr *netip.AddrPort
	TLS  *ClientTLS // over TCP; nil: none
}

// ClientTLS is what Unbound speaks TLS with.
type ClientTLS struct {
	ServerName string // that the tap's certificate must have; empty: Unbound looks at no name
	CAs        string // PEM file of those who may have issued it
	Cert, Key  string // PEM files of Unbound's own; empty: it has none to show
}

// UnixTap is the Unix socket at that path.
func UnixTap(path string) Tap { return Tap{Path: path} }

// TCPTap is that address, which is inside the namespace.
func TCPTap(at netip.AddrPort) Tap { return Tap{Addr: &at} }

// TLSTap is that address, over TLS.
func TLSTap(at netip.AddrPort, c ClientTLS) Tap { return Tap{Addr: &at, TLS: &c} }

// Is reports whether there is somewhere to send dnstap to.
func (t Tap) Is() bool { return t.Path != "" || t.Addr != nil }

// Options say how a resolver runs.
type Options struct {
	Tap            Tap       // none: the resolver runs without dnstap
	Unidirectional bool      // START at once, without waiting for ACCEPT; Unbound only
	AnyAddress     bool      // let the kernel choose the outward address; not PowerDNS
	AskFrom        []string  // addresses that it asks servers from; none: Resolver4 and Resolver6
	Threads        int       // 0: one
	Forward        *Resolver // ask this one everything, and no server
	Stub           bool      // ask for corp.example where it is served, and follow no delegation
	Also           string    // a second Unix socket; PowerDNS only
	OwnUser        bool      // run as Debian does, as a user without rights; not Knot
	ClientsOnly    bool      // send client messages alone; Unbound and BIND, as Knot always does
	Span           *SpanPort // run where this one shows what passes; nil: in the world itself
	LongestUDP     int       // what it asks servers for, in bytes; 0: its default, 1232. BIND takes 4096 at most

	// Directives stand in the configuration as they are: clauses of Unbound's, in
	// BIND's options, in PowerDNS's Lua file.
	Directives string
}

// place is where in the world a resolver is.
type place struct {
	Listen   netip.Addr
	Outgoing []netip.Addr // none: the kernel chooses
}

var upstreamPlace = place{netip.MustParseAddr(upstreamListens), []netip.Addr{netip.MustParseAddr(upstream4)}}

// ordinary is the place of the resolver under test.
func ordinary(o Options) place {
	at := place{Listen: netip.MustParseAddr(ResolverListens)}
	if o.AskFrom == nil && !o.AnyAddress {
		o.AskFrom = []string{Resolver4, Resolver6}
	}
	for _, a := range o.AskFrom {
		at.Outgoing = append(at.Outgoing, netip.MustParseAddr(a))
	}
	return at
}

// settings is what a configuration's template sees.
type settings struct {
	Options
	place
	Dir, Identity, Corporate, User string
}

// HoldsBack is longer than any resolver keeps dnstap messages before it sends
// them, on a busy machine too: Unbound keeps them a second, PowerDNS up to two.
// What is held when a resolver stops is lost with it.
const HoldsBack = 4 * time.Second

// Resolver is a running resolver.
type Resolver struct {
	*Process
	Addr netip.AddrPort // where it answers clients
	User string         // whom it becomes; "": root

	namespace *Namespace
	quit      []string // the command that ends it; none: SIGTERM does
}

// Stop stops the resolver once all it has to say over dnstap has left it. It
// returns the time that stopping itself took.
func (r *Resolver) Stop(t testing.TB) time.Duration {
	t.Helper()
	time.Sleep(HoldsBack)
	return r.Quit(t)
}

// Quit stops the resolver as its operator does, at once, and fails the test if it
// has not ended within stopTime. It returns the time that took.
func (r *Resolver) Quit(t testing.TB) time.Duration {
	t.Helper()
	began := time.Now()
	r.AskToQuit(t)
	r.awaitEnd(t)
	return time.Since(began)
}

// AskToQuit gives the resolver its stop command, and returns without waiting for
// what it does then.
func (r *Resolver) AskToQuit(t testing.TB) {
	t.Helper()
	if len(r.quit) == 0 {
		r.Signal(t, syscall.SIGTERM)
		return
	}
	r.namespace.Start(t, r.quit[0], exec.Command(r.quit[0], r.quit[1:]...))
}

// startResolver starts a resolver and returns once it answers clients. Whoever
// receives its dnstap had better be there already.
func (w *World) startResolver(t testing.TB, s software, o Options, at place) *Resolver {
	t.Helper()
	Need(t, s.program)
	if o.Threads == 0 {
		o.Threads = 1
	}
	dir, err := os.MkdirTemp(w.Dir, s.program)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil { // whatever user it becomes
		t.Fatal(err)
	}
	set := settings{Options: o, place: at, Dir: dir, Identity: Identity, Corporate: Corporate}
	if o.OwnUser {
		set.User = s.user
	}
	for _, name := range s.templates {
		writeConfig(t, dir, name, set)
	}
	writeHints(t, dir)
	r := &Resolver{Addr: netip.AddrPortFrom(at.Listen, 53), User: set.User, namespace: w.Namespace}
	if o.Span != nil {
		r.namespace = o.Span.resolver
	}
	if s.quit != nil {
		r.quit = s.quit(dir)
		Need(t, r.quit[0])
	}
	r.Process = r.namespace.Start(t, s.program, exec.Command(s.program, s.args(set)...))
	version := new(dns.Msg).SetQuestion("version.bind.", dns.TypeTXT)
	version.Question[0].Qclass = dns.ClassCHAOS
	w.awaitAnswers(t, r.Process, r.Addr, version)
	return r
}

func writeHints(t testing.TB, dir string) {
	t.Helper()
	hints, err := files.ReadFile("testdata/zones/root.hints")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "root.hints"), hints, 0o644); err != nil {
		t.Fatal(err)
	}
}
