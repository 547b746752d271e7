package lab

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
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
}

// UnixTap is the Unix socket at that path.
func UnixTap(path string) Tap { return Tap{Path: path} }

// TCPTap is that address, which is inside the namespace.
func TCPTap(at netip.AddrPort) Tap { return Tap{Addr: &at} }

// Options say how a resolver runs.
type Options struct {
	Tap            Tap
	Unidirectional bool // START at once, without waiting for ACCEPT
	AnyAddress     bool // let the kernel choose the outward address: dnstap then says 0.0.0.0
	Threads        int  // 0: one
}

// software is a resolver as Debian ships it.
type software struct {
	program   string
	templates []string // of its configuration files, by name
	args      func(dir string) []string
}

// settings is what a configuration's template sees.
type settings struct {
	Options
	Dir, Listen, Identity string
	Outgoing              []string
}

// HoldsBack is longer than any resolver keeps dnstap messages before it sends
// them: a second, in Unbound's own queues and in libfstrm's. What is held when a
// resolver stops is lost with it.
const HoldsBack = 1500 * time.Millisecond

// Resolver is a running resolver.
type Resolver struct {
	*Process
	Addr netip.AddrPort // where it answers clients
}

// Stop stops the resolver once all it has to say over dnstap has left it. It
// returns the time that stopping itself took.
func (r *Resolver) Stop(t testing.TB) time.Duration {
	t.Helper()
	time.Sleep(HoldsBack)
	return r.Process.Stop(t)
}

// startResolver starts a resolver and returns once it answers clients. Whoever
// receives its dnstap had better be there already.
func (w *World) startResolver(t testing.TB, s software, o Options) *Resolver {
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
	set := settings{Options: o, Dir: dir, Listen: ResolverListens, Identity: Identity}
	if !o.AnyAddress {
		set.Outgoing = []string{Resolver4, Resolver6}
	}
	for _, name := range s.templates {
		writeConfig(t, dir, name, set)
	}
	writeHints(t, dir)
	r := &Resolver{Addr: netip.AddrPortFrom(netip.MustParseAddr(ResolverListens), 53)}
	r.Process = w.Start(t, s.program, exec.Command(s.program, s.args(dir)...))
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
