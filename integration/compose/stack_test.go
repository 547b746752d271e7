package compose

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	project = "dnstap-pdns-test"
	root    = "../.."

	subnet4   = "198.51.100.128/25" // the world's own servers in 198.51.100.0/24 are outside of it
	subnet6   = "2001:db8:c0::/64"
	gateway4  = "198.51.100.129" // the world
	gateway6  = "2001:db8:c0::1"
	host4     = "198.51.100.254" // this machine, which is Docker's default gateway
	resolver4 = "198.51.100.200"
	resolver6 = "2001:db8:c0::200"
	client4   = "198.51.100.210"
	bridge    = "pdnstest0"
)

// ours maps services to the images that this test builds.
var ours = map[string]string{
	"sensor": project + "-sensor", "pcap": project + "-sensor", "view": project + "-sensor",
	"unbound": project + "-unbound", "bind": project + "-bind",
}

// A tool is one generation of Docker Compose.
type tool struct {
	program string
	files   []string
	suffix  string // of image names
}

// compose runs Compose with those profiles and returns its output.
func (c tool) compose(t testing.TB, profiles string, args ...string) string {
	t.Helper()
	return call(t, c.line(profiles, args...)...)
}

// line returns a command line.
func (c tool) line(profiles string, args ...string) []string {
	line := []string{"env", "COMPOSE_PROFILES=" + profiles, "IMAGE_SUFFIX=" + c.suffix, c.program, "-p", project}
	for _, f := range c.files {
		line = append(line, "-f", f)
	}
	return append(line, args...)
}

// override writes the test's own compose file, with networks, image names, and configurations
// adapted to the closed world, and returns its path.
func override(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	var b strings.Builder
	fmt.Fprintf(&b, `
networks:
  default:
    enable_ipv6: true
    driver_opts: {com.docker.network.bridge.name: %s}
    ipam: {config: [{subnet: %s, gateway: %s}, {subnet: %q, gateway: %q}]}
services:
`, bridge, subnet4, gateway4, subnet6, gateway6)
	for service, image := range ours {
		fmt.Fprintf(&b, "  %s:\n    image: %s${IMAGE_SUFFIX:-}\n", service, image)
		folder, target := "sensor", "/etc/dnstap-pdns"
		switch service {
		case "view":
			continue
		case "sensor", "pcap":
			fmt.Fprint(&b, "    healthcheck: {interval: 1s}\n")
		case "unbound", "bind":
			folder, target = service, "/etc/"+service
			fmt.Fprintf(&b, "    networks: {default: {ipv4_address: %s, ipv6_address: %q}}\n", resolver4, resolver6)
		}
		fmt.Fprintf(&b, "    volumes: [{type: bind, source: %s, target: %s, read_only: true}]\n", filepath.Join(dir, folder), target)
	}
	path := filepath.Join(dir, "override.yaml")
	write(t, path, b.String())
	adaptConfigurations(t, dir)
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // for the containers' users
		t.Fatal(err)
	}
	return path
}

// adaptations are the changes to configurations that the closed world, or an operator, needs.
// The world has no DNSSEC, and one root server.
var adaptations = map[string][][2]string{
	"sensor/dnstap-pdns.hcl": {
		{"resolvers = []", fmt.Sprintf("resolvers = [%q, %q]", resolver4, resolver6)},
		{`# local_names    = ["corp.example"]`, `local_names = ["corp.example"]`},
		{`# local_networks = ["198.51.100.0/24"]`, `local_networks = ["10.0.0.0/8"]`},
	},
	"sensor/pcap.hcl": {
		{`["192.0.2.53", "2001:db8:53::53"]`, fmt.Sprintf("[%q, %q]", resolver4, resolver6)},
		{`# local_names    = ["corp.example"]`, `local_names = ["corp.example"]`},
		{`# local_networks = ["198.51.100.0/24"]`, `local_networks = ["10.0.0.0/8"]`},
	},
	"unbound/unbound.conf": {
		{`"validator iterator"`, `"iterator"` + "\n  root-hints: /etc/unbound/root.hints\n  access-control: " + subnet4 + " allow\n  access-control: " + subnet6 + " allow"},
	},
	"bind/named.conf": {
		{"dnssec-validation auto", "dnssec-validation no"},
		{"controls { };", "controls { };\nzone \".\" { type hint; file \"/etc/bind/root.hints\"; };"},
	},
}

func adaptConfigurations(t *testing.T, dir string) {
	t.Helper()
	for name, changes := range adaptations {
		text := read(t, filepath.Join(root, "conf/compose", name))
		for _, c := range changes {
			if strings.Count(text, c[0]) != 1 {
				t.Fatalf("conf/compose/%s has %q %d times, want it once", name, c[0], strings.Count(text, c[0]))
			}
			text = strings.Replace(text, c[0], c[1], 1)
		}
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name), text)
	}
	hints := read(t, "../lab/testdata/zones/root.hints")
	for _, resolver := range []string{"unbound", "bind"} {
		write(t, filepath.Join(dir, resolver, "root.hints"), hints)
	}
}

// freePort returns a TCP port of loopback that is not in use.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
