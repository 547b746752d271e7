package lab

import (
	"embed"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"text/template"

	"github.com/miekg/dns"
)

//go:embed testdata/zones testdata/conf
var files embed.FS

var templates = template.Must(template.ParseFS(files, "testdata/conf/*"))

// Addresses of resolvers and clients. Those of servers are in the table below.
const (
	Resolver4       = "192.0.2.53" // the addresses from which resolvers ask servers
	Resolver6       = "2001:db8:53::53"
	ResolverListens = "192.0.2.54" // the address at which resolvers answer clients
	Client1         = "10.9.8.7"
	Client2         = "10.9.8.8"
	Corporate       = "10.0.0.53" // the internal server, which is not outward

	upstreamListens = "192.0.2.55" // the resolver that others forward to, and its address towards servers
	upstream4       = "192.0.2.56"

	deadAddress = "203.0.113.99" // dead.com's server never answers
)

// server is an instance of NSD.
type server struct {
	name  string
	addrs []string
	zones []string // apex names without the final dot; "." is the root
}

var servers = []server{
	{"root", []string{"198.41.0.4", "2001:db8:41::4"}, []string{".", "root-servers.net"}},
	{"tld", []string{"192.5.6.30", "2001:db8:5::30"}, []string{"com", "net", "org", "example", "arpa"}},
	{"hoster", []string{"203.0.113.10", "203.0.113.11", "2001:db8:113::10"},
		[]string{"hoster.net", "shop.com", "big.com", "univ.org", "113.0.203.in-addr.arpa", "ipv4only.arpa"}},
	{"cdn", []string{"198.51.100.20"}, []string{"cdn.net"}},
	{"evil", []string{"198.51.100.66"}, []string{"evil.com", "bank.com"}},
	{"corp", []string{Corporate}, []string{"corp.example", "10.in-addr.arpa"}},
}

func zoneFile(zone string) string {
	if zone == "." {
		zone = "root"
	}
	return "testdata/zones/" + zone + ".zone"
}

func (w *World) startServers(t testing.TB) {
	t.Helper()
	started := make([]*Process, len(servers))
	for i, s := range servers {
		started[i] = w.startServer(t, s)
	}
	for i, s := range servers {
		soa := new(dns.Msg).SetQuestion(dns.Fqdn(s.zones[0]), dns.TypeSOA)
		for _, a := range s.addrs {
			w.awaitAnswers(t, started[i], netip.AddrPortFrom(netip.MustParseAddr(a), 53), soa)
		}
	}
}

func (w *World) startServer(t testing.TB, s server) *Process {
	t.Helper()
	dir := filepath.Join(w.Dir, "nsd-"+s.name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	type zone struct{ Name, File string }
	var zones []zone
	for _, z := range s.zones {
		text, err := files.ReadFile(zoneFile(z))
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Base(zoneFile(z))
		if err := os.WriteFile(filepath.Join(dir, file), text, 0o644); err != nil {
			t.Fatal(err)
		}
		zones = append(zones, zone{z, file})
	}
	conf := writeConfig(t, dir, "nsd.conf", map[string]any{"Dir": dir, "Addrs": s.addrs, "Zones": zones})
	return w.Start(t, "nsd "+s.name, exec.Command("nsd", "-d", "-c", conf))
}

// writeConfig executes the template of that name, writes the result to a file of that name
// in dir, and returns its path.
func writeConfig(t testing.TB, dir, name string, data any) string {
	t.Helper()
	var text strings.Builder
	if err := templates.ExecuteTemplate(&text, name, data); err != nil {
		t.Fatal(fmt.Errorf("configuration of %s: %w", name, err))
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
