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

// Identity is the dnstap identity of the world's resolvers.
const Identity = "resolver1.univ.example"

// TapTarget is the destination of a resolver's dnstap: the path of a Unix socket, or an address.
type TapTarget struct {
	Path string
	Addr *netip.AddrPort
	TLS  *ClientTLS // over TCP; nil: no TLS
}

// ClientTLS configures the TLS client of Unbound.
type ClientTLS struct {
	ServerName string // name that the tap's certificate must have; empty: Unbound checks no name
	CAs        string // PEM file of the CAs that may have issued it
	Cert, Key  string // PEM files of Unbound's own certificate; empty: none
}

// UnixTap returns a tap at the path of a Unix socket.
func UnixTap(path string) TapTarget { return TapTarget{Path: path} }

// TCPTap returns a tap at an address inside the namespace.
func TCPTap(at netip.AddrPort) TapTarget { return TapTarget{Addr: &at} }

// TLSTap returns a tap at an address inside the namespace, over TLS.
func TLSTap(at netip.AddrPort, c ClientTLS) TapTarget { return TapTarget{Addr: &at, TLS: &c} }

// IsSet reports whether the tap has a destination.
func (t TapTarget) IsSet() bool { return t.Path != "" || t.Addr != nil }

// Options configure a resolver.
type Options struct {
	Tap            TapTarget // zero: the resolver runs without dnstap
	Unidirectional bool      // send START without waiting for ACCEPT; Unbound only
	AnyAddress     bool      // let the kernel choose the outward address; not PowerDNS
	AskFrom        []string  // addresses from which it asks servers; nil: Resolver4 and Resolver6
	Threads        int       // 0: one
	Forward        *Resolver // forward all queries to this resolver
	Stub           bool      // ask the server of corp.example directly, without following delegations
	SecondSocket   string    // a second Unix socket; PowerDNS only
	OwnUser        bool      // run as an unprivileged user, as Debian does; not Knot
	ClientsOnly    bool      // send only client messages; Unbound and BIND (Knot always does)
	Span           *SpanPort // run where this span port mirrors its packets; nil: in the world's namespace
	LongestUDP     int       // EDNS buffer size for queries to servers, in bytes; 0: the default, 1232. BIND: at most 4096

	// Directives are copied into the configuration: as clauses of Unbound, into BIND's
	// options, or into PowerDNS's Lua file.
	Directives string
}

// addresses is a set of addresses for a resolver.
type addresses struct {
	Listen   netip.Addr
	Outgoing []netip.Addr // none: the kernel chooses
}

var upstreamAddresses = addresses{netip.MustParseAddr(upstreamListens), []netip.Addr{netip.MustParseAddr(upstream4)}}

// testAddresses returns the addresses of the resolver under test, which Options.AskFrom and
// Options.AnyAddress may change.
func testAddresses(o Options) addresses {
	at := addresses{Listen: netip.MustParseAddr(ResolverListens)}
	if o.AskFrom == nil && !o.AnyAddress {
		o.AskFrom = []string{Resolver4, Resolver6}
	}
	for _, a := range o.AskFrom {
		at.Outgoing = append(at.Outgoing, netip.MustParseAddr(a))
	}
	return at
}

// settings is the data of a configuration template.
type settings struct {
	Options
	addresses
	Dir, Identity, Corporate, User string
}

// SendDelay is longer than any resolver buffers dnstap messages, even on a busy machine:
// Unbound buffers them for a second, PowerDNS for up to two. A resolver that stops loses the
// buffered messages.
const SendDelay = 4 * time.Second

// Resolver is a running resolver.
type Resolver struct {
	*Process
	Addr netip.AddrPort // for clients
	User string         // the user it runs as; "": root

	namespace *Namespace
	quit      []string // the command that ends it; nil: SIGTERM
}

// Stop stops the resolver after it has sent its buffered dnstap messages. It returns the
// time that stopping took, without that wait.
func (r *Resolver) Stop(t testing.TB) time.Duration {
	t.Helper()
	time.Sleep(SendDelay)
	return r.StopNow(t)
}

// StopNow stops the resolver immediately, as its operator would, and fails the test if it has
// not ended within stopTime. It returns the time that this took.
func (r *Resolver) StopNow(t testing.TB) time.Duration {
	t.Helper()
	began := time.Now()
	r.RequestStop(t)
	r.awaitEnd(t)
	return time.Since(began)
}

// RequestStop runs the resolver's stop command, or sends SIGTERM if it has none, and does not wait
// for the resolver's end.
func (r *Resolver) RequestStop(t testing.TB) {
	t.Helper()
	if len(r.quit) == 0 {
		r.Signal(t, syscall.SIGTERM)
		return
	}
	r.namespace.Start(t, r.quit[0], exec.Command(r.quit[0], r.quit[1:]...))
}

// startResolver starts a resolver and returns when it answers clients. The receiver of its
// dnstap should be running already.
func (w *World) startResolver(t testing.TB, s software, o Options, at addresses) *Resolver {
	t.Helper()
	RequirePrograms(t, s.program)
	if o.Threads == 0 {
		o.Threads = 1
	}
	dir, err := os.MkdirTemp(w.Dir, s.program)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil { // for the user that it changes to
		t.Fatal(err)
	}
	set := settings{Options: o, addresses: at, Dir: dir, Identity: Identity, Corporate: Corporate}
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
		RequirePrograms(t, r.quit[0])
	}
	r.Process = r.namespace.Start(t, s.program, exec.Command(s.program, s.args(set)...))
	version := new(dns.Msg).SetQuestion("version.bind.", dns.TypeTXT)
	version.Question[0].Qclass = dns.ClassCHAOS
	w.awaitAnswers(t, r.Process, r.Addr, version)
	return r
}

func writeHints(t testing.TB, dir string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "root.hints"), RootHints(t), 0o644); err != nil {
		t.Fatal(err)
	}
}

// RootHints returns the hints file with the world's root servers.
func RootHints(t testing.TB) []byte {
	t.Helper()
	hints, err := files.ReadFile("testdata/zones/root.hints")
	if err != nil {
		t.Fatal(err)
	}
	return hints
}
