package conf

import (
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/zclconf/go-cty/cty"

	"github.com/dnstap-pdns/dnstap-pdns/collector"
	"github.com/dnstap-pdns/dnstap-pdns/conf/certs"
	"github.com/dnstap-pdns/dnstap-pdns/conf/secret"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/file"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/forward/stdout"
	"github.com/dnstap-pdns/dnstap-pdns/forward/udp"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

func TestDefaultConfiguration(t *testing.T) {
	f, diags := Default()
	if len(diags) > 0 {
		t.Fatal(messages(t, f, diags))
	}
	want := Config{
		Sources: []collector.Config{{
			Name:             "local",
			Network:          "unix",
			Address:          "/run/dnstap-pdns/dnstap.sock",
			Mode:             0o660,
			MaxConnections:   64,
			MaxFrame:         256 << 10,
			HandshakeTimeout: 5 * time.Second,
		}},
		MaxQueries: 131072,
		Policy: transform.Config{
			PairingTimeout: time.Minute,
			Rcodes:         []uint8{0, 3, 2, 5},
			LookupZones:    transform.DefaultLookupZones(),
			RootServers:    transform.RootServers(),
			SpecialNames:   true,
			TimeResolution: time.Second,
		},
		Sinks: []forward.SinkConfig{{
			Name:      "files",
			Target:    forward.Target{Scheme: forward.File, Address: "/var/lib/dnstap-pdns/%Y%m%dT%H%M%S.nmsg"},
			Format:    forward.NMSG{Message: nmsg.DNSQR},
			MTU:       1 << 20,
			Flush:     500 * time.Millisecond,
			Queue:     16 << 20,
			Transport: file.Config{Rotate: time.Hour, RotateSize: 256 << 20},
		}},
		SourceIDs: map[string]nmsg.IDs{},
		Admin:     Admin{Listen: "127.0.0.1:9353"},
		Log:       Log{Level: slog.LevelInfo, Format: "text"},
	}
	if diff := cmp.Diff(want, f.Config, sameAddresses); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEveryAttributeSetsItsField(t *testing.T) {
	f, diags := Load("testdata/valid/full.hcl")
	if len(diags) > 0 {
		t.Fatal(messages(t, f, diags))
	}
	ids := nmsg.IDs{Source: 4294967295, Operator: 2, Group: 3}
	want := Config{
		Sources: []collector.Config{{
			Name:             "unbound",
			Network:          "unix",
			Address:          "/run/pdns/unbound.sock",
			Mode:             0o620,
			Owner:            "unbound",
			Group:            "110",
			MaxConnections:   1,
			MaxFrame:         65536,
			HandshakeTimeout: 250 * time.Millisecond,
		}, {
			Name:    "remote",
			Network: "tcp",
			Address: "192.0.2.1:6000",
			TLS: certs.Files{
				Cert:     "testdata/valid/cert.pem",
				Key:      "/etc/dnstap-pdns/key.pem",
				ClientCA: "testdata/valid/ca.pem",
			},
			MaxConnections:   64,
			MaxFrame:         256 << 10,
			HandshakeTimeout: 5 * time.Second,
		}},
		Packets: []pcap.Config{{
			Name:           "span",
			Interfaces:     []string{"eth1", "bond0.100"},
			Resolvers:      prefixes("192.0.2.53/32", "2001:db8:53::/64"),
			When:           pcap.Idle,
			IdleAfter:      5 * time.Minute,
			Promiscuous:    true,
			VerifyChecksum: true,
			Ring:           64 << 20,
			Lanes:          4,
		}, {
			Name:        "tunnel",
			Interfaces:  []string{"any"},
			Resolvers:   prefixes("198.51.100.53/32"),
			When:        pcap.Idle,
			IdleAfter:   time.Minute,
			Decapsulate: true,

			DecapsulateFrom: prefixes("198.51.100.2/32", "2001:db8:2::/64"),
			DecapsulateTo:   prefixes("198.51.100.9/32"),
			VXLANPorts:      []uint16{4789},

			Ring:  32 << 20,
			Lanes: 1,
		}},
		MaxQueries: 1,
		Policy: transform.Config{
			PairingTimeout: time.Hour,
			Forwarded:      true,
			Unanswered:     true,
			LocalServers:   true,
			Rcodes:         []uint8{0, 6},
			KeepResolver:   true,
			Resolvers:      prefixes("192.0.2.53/32", "2001:db8:5::/64", "192.0.2.53/32", "2001:db8:53::/64", "198.51.100.53/32"),
			LocalNames:     []string{"corp.example.", "Bücher.example", "intern.example", "münchen.example."},
			LocalNetworks: []netip.Prefix{
				netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.7/32"),
				netip.MustParsePrefix("2001:db8:1::/48"), netip.MustParsePrefix("2001:db8::7/128"),
			},
			KeepLocalNamesInside: true,
			KeepLookups:          true,
			LookupZones:          []string{"dnsbl.example.net", "xn--bcher-kva.example"},
			RootServers:          []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")},
			TimeResolution:       1,
		},
		Sinks: []forward.SinkConfig{{
			Name:      "receiver",
			Target:    forward.Target{Scheme: forward.UDP, Address: "[2001:db8::1]:9430"},
			Format:    forward.NMSG{Message: nmsg.DNSObs},
			MTU:       1400,
			Flush:     90 * time.Second,
			Queue:     1 << 30,
			Zlib:      true,
			Transport: udp.Config{Rate: 2000},
		}, {
			Name:   "files",
			Target: forward.Target{Scheme: forward.File, Address: "/var/lib/pdns/%Y/%m/%d/%H%M.nmsg"},
			Format: forward.NMSG{Message: nmsg.DNSQR},
			MTU:    64 << 10,
			Flush:  500 * time.Millisecond,
			Queue:  16 << 20,
			Transport: file.Config{
				Rotate:     15 * time.Minute,
				RotateSize: 1 << 20,
				OnRotate:   []string{"/usr/local/bin/upload", "--to", "a place; $HOME", ""},
				Keep:       file.Keep{Age: 720 * time.Hour, Size: 100 << 30},
			},
		}},
		IDs:       ids,
		SourceIDs: map[string]nmsg.IDs{},
		Admin:     Admin{Listen: "[::]:9353", Samples: true, Pprof: true, HostNames: []string{"sensor.example.net", "status"}},
		Log:       Log{Level: slog.LevelDebug, Format: "json"},
	}
	if diff := cmp.Diff(want, f.Config, sameAddresses); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFunctionValuesAreUsed(t *testing.T) {
	setEnvironment(t)
	f, diags := Load("testdata/valid/functions.hcl")
	if len(diags) > 0 {
		t.Fatal(messages(t, f, diags))
	}
	if got, want := f.Sources[0].Address, "/run/hidden-directory/dnstap.sock"; got != want {
		t.Errorf("listen: got %q, want %q", got, want)
	}
	if got := f.Sources[0].MaxConnections; got != 31 {
		t.Errorf("max_connections: got %d, want 31", got)
	}
	if diff := cmp.Diff([]string{"hidden-name.example", "top-secret.example"}, f.Policy.LocalNames); diff != "" {
		t.Errorf("local_names (-want +got):\n%s", diff)
	}
	if f.Policy.SpecialNames {
		t.Error("special_names: got true, want false")
	}
}

func TestTargetsAndListenAddressesAreNormalized(t *testing.T) {
	f, diags := Load("testdata/valid/tcp.hcl")
	if len(diags) > 0 {
		t.Fatal(messages(t, f, diags))
	}
	if got, want := f.Sources[0].Address, "[::1]:6000"; got != want {
		t.Errorf("listen: got %q, want %q", got, want)
	}
	if got := f.Sources[0].Mode; got != 0 {
		t.Errorf("mode of a TCP source: got %o, want none", got)
	}
	for i, want := range []int{8192, 1280, 1 << 20, 1 << 20} {
		if got := f.Sinks[i].MTU; got != want {
			t.Errorf("mtu of sink %s: got %d, want %d", f.Sinks[i].Name, got, want)
		}
		if got, ok := f.Sinks[i].Transport.(file.Config); ok && got.Rotate != 0 {
			t.Errorf("rotate of sink %s: got %v, want 0", f.Sinks[i].Name, got.Rotate)
		}
	}
}

func TestCommandLineDefaultsEqualBlockDefaults(t *testing.T) {
	f, _ := Default()
	source := f.Sources[0]
	source.Name, source.Network, source.Address, source.Mode = "", "", "", 0
	if diff := cmp.Diff(source, SourceDefaults()); diff != "" {
		t.Errorf("source (-block +command line):\n%s", diff)
	}
	source = f.Sources[0]
	source.Name = "unix://" + source.Address
	if got, err := SourceFor(source.Name); err != nil || !cmp.Equal(got, source) {
		t.Errorf("%s: got %+v, %v, want %+v", source.Name, got, err, source)
	}
	tcp := SourceDefaults()
	tcp.Name, tcp.Network, tcp.Address = "tcp://127.0.0.1:6000", "tcp", "127.0.0.1:6000"
	if got, err := SourceFor(tcp.Name); err != nil || !cmp.Equal(got, tcp) {
		t.Errorf("%s: got %+v, %v, want %+v", tcp.Name, got, err, tcp)
	}
	if got, err := SourceFor("udp://127.0.0.1:6000"); err == nil {
		t.Errorf("udp: got %+v", got)
	}
	for to, transport := range map[string]forward.TransportConfig{
		"file:///tmp/%Y%m%dT%H%M%S.nmsg": file.Config{Rotate: time.Hour},
		"file:///tmp/%Y%m%d.nmsg":        file.Config{},
		"file:///tmp/out.nmsg":           file.Config{},
		"udp://127.0.0.1:9430":           udp.Config{},
		"udp://192.0.2.1:9430":           udp.Config{},
		"stdout:":                        stdout.Config{},
	} {
		target, err := forward.ParseTarget(to)
		if err != nil {
			t.Fatal(err)
		}
		want := f.Sinks[0]
		want.Name, want.Target, want.MTU, want.Transport = "to", target, target.DefaultMTU(), transport
		if diff := cmp.Diff(want, SinkFor("to", target)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", to, diff)
		}
	}
}

func TestAdminDefaultIsThatOfTheBuiltInConfiguration(t *testing.T) {
	f, _ := Default()
	if got := AdminDefault(); !cmp.Equal(got, f.Admin) || got.Listen == "" {
		t.Errorf("got %+v, want %+v", got, f.Admin)
	}
}

func TestExampleEqualsTheDefault(t *testing.T) {
	example, diags := Load("dnstap-pdns.hcl")
	if len(diags) > 0 {
		t.Fatal(messages(t, example, diags))
	}
	builtIn, _ := Default()
	if diff := cmp.Diff(builtIn.Config, example.Config, sameAddresses); diff != "" {
		t.Errorf("(-default +example):\n%s", diff)
	}
	for _, s := range example.sections {
		for name, set := range s.settings {
			if set.expr == nil && set.value != cty.NilVal {
				t.Errorf("%s.%s is not in the example", s.schema.name, name)
			}
		}
	}
	if got := uncommented(t, "dnstap-pdns.hcl").Sources[0].TLS; got != (certs.Files{Cert: "cert.pem", Key: "key.pem", ClientCA: "ca.pem"}) {
		t.Errorf("tls of the example is %+v", got)
	}
}

func TestExampleContainsEveryPacketAttribute(t *testing.T) {
	shown := uncommented(t, "dnstap-pdns.hcl")
	want := []pcap.Config{{
		Name: "span", Interfaces: []string{"eth1"}, Resolvers: prefixes("192.0.2.53/32", "2001:db8:53::/64"),
		When: pcap.Idle, IdleAfter: time.Minute, Ring: 32 << 20, Lanes: 1,
	}}
	if diff := cmp.Diff(want, shown.Packets, sameAddresses); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, s := range shown.sections {
		for name, set := range s.settings {
			if s.schema.typ == "pcap" && set.expr == nil {
				t.Errorf("%s is not in the example", name)
			}
		}
	}
}

func prefixes(all ...string) (out []netip.Prefix) {
	for _, p := range all {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

// TestExampleContainsEveryAttributeOfSinks, and every block: in one sink at least.
func TestExampleContainsEveryAttributeOfSinks(t *testing.T) {
	missing := map[string]bool{}
	for i := range schema {
		for _, b := range append(schema[i].blocks, schema[i]) {
			for _, a := range b.attributes {
				if (schema[i].name == "sink" || schema[i].name == "aggregate") && a.name != "rate" { // an uncommented sink has no udp:// target
					missing[b.name+"."+a.name] = true
				}
			}
		}
	}
	for _, s := range uncommented(t, "dnstap-pdns.hcl").sections {
		for _, block := range append(s.inner, s) {
			for name, set := range block.settings {
				if set.expr != nil {
					delete(missing, block.schema.name+"."+name)
				}
			}
		}
	}
	if len(missing) > 0 {
		t.Errorf("not in the example: %v", slices.Sorted(maps.Keys(missing)))
	}
}

// uncommented reads the example with its commented blocks enabled, and with the
// source on TCP, to which tls applies.
func uncommented(t *testing.T, path string) *File {
	t.Helper()
	setCredentials(t)
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(src)) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case name == "listen" && strings.Contains(line, "unix://"):
			line = "listen = \"tcp://127.0.0.1:6000\"\n"
		case name == "mode", name == "owner", name == "group":
			continue
		}
		lines = append(lines, strings.TrimPrefix(strings.TrimPrefix(line, "  #  "), "#  "))
	}
	return mustParse(t, strings.Join(lines, ""))
}

// setCredentials makes the credentials that the example names.
func setCredentials(t *testing.T) {
	t.Helper()
	credentials := t.TempDir()
	for _, name := range []string{"sie-key", "kafka-password"} {
		if err := os.WriteFile(filepath.Join(credentials, name), []byte("key"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("CREDENTIALS_DIRECTORY", credentials)
}

func TestRunnableRequiresSourceAndSink(t *testing.T) {
	const source = `source "dnstap" "a" { listen = "unix:///run/a.sock" }` + "\n"
	const sink = `sink "nmsg" "b" { to = "stdout:" }` + "\n"
	const packets = "source pcap c {\nresolvers = [\"192.0.2.53\"]\n"
	for _, tt := range []struct {
		src  string
		want []string
	}{
		{source + sink, nil},
		{source, []string{"no sink"}},
		{source + "aggregate \"a\" {}\n", []string{"no sink"}},
		{sink, []string{"no source"}},
		{"", []string{"no source", "no sink"}},
		{packets + "interface = \"eth1\"\n}\n" + sink, nil},
		{"source kafka k {\nbrokers = [\"localhost\"]\ntopic = \"t\"\ngroup = \"g\"\n}\n" + sink, nil},
		{packets + "}\n" + sink, []string{`source "pcap" "c" has no interface to capture on: add interfaces = ["eth0"]`}},
	} {
		err := mustParse(t, tt.src).Runnable()
		if (err == nil) != (tt.want == nil) {
			t.Errorf("%q: got %v, want %q", tt.src, err, tt.want)
			continue
		}
		for _, want := range tt.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q: got %v, want %q", tt.src, err, want)
			}
		}
	}
}

func TestAdviceOfRunnableIsValid(t *testing.T) {
	advice := mustParse(t, "").Runnable().Error()
	var src strings.Builder
	for line := range strings.Lines(advice) {
		_, block, found := strings.Cut(line, ": add ")
		if !found {
			t.Fatalf("no advice in %q", line)
		}
		src.WriteString(strings.TrimSuffix(block, "\n") + "\n")
	}
	if err := mustParse(t, src.String()).Runnable(); err != nil {
		t.Error(err)
	}
}

func TestTCPOutsideLoopbackGivesAWarning(t *testing.T) {
	const readAndSend, send = "any host that reaches this address can read along and send", "any host that reaches this address can send"
	for block, want := range map[string]string{
		"":                                      readAndSend,
		"tls {\ncert = \"c\"\nkey = \"k\"\n}\n": send,
		"tls {\ncert = \"c\"\nkey = \"k\"\nclient_ca = \"a\"\n}\n": "",
	} {
		for address, exposed := range map[string]bool{
			"127.0.0.1": false, "127.9.9.9": false, "[::1]": false, "localhost": false,
			"0.0.0.0": true, "192.0.2.1": true, "[::]": true, "resolver.example": true,
		} {
			f := mustParse(t, "source dnstap a {\nlisten = \"tcp://"+address+":6000\"\n"+block+"}\n"+decided)
			var wanted []string
			if exposed && want != "" {
				wanted = []string{`source "a": listen: ` + want}
			}
			if diff := cmp.Diff(wanted, problems(f)); diff != "" {
				t.Errorf("%s %q (-want +got):\n%s", address, block, diff)
			}
		}
	}
}

// TestAFileThatIsNotTextGivesFewErrors: a capture file given by mistake has thousands.
func TestAFileThatIsNotTextGivesFewErrors(t *testing.T) {
	junk := strings.Repeat("\x00\xff}{ ==\n", 1000)
	for _, tt := range []struct {
		src  string
		want int
		last string
	}{
		{junk, maxSyntaxErrors + 1, " more syntax errors are not shown"},
		{"scrub {\n" + strings.Repeat("a b\n", maxSyntaxErrors/2) + "}\n", maxSyntaxErrors / 2, ""},
	} {
		_, diags := Parse("test.hcl", []byte(tt.src))
		if last := diags[len(diags)-1].Summary; len(diags) > tt.want || !strings.Contains(last, tt.last) {
			t.Errorf("%.20q: got %d errors, want at most %d; the last is %q", tt.src, len(diags), tt.want, last)
		}
	}
}

func TestMissingFileIsAnError(t *testing.T) {
	f, diags := Load("testdata/no-such-file.hcl")
	const want = "error: the configuration cannot be read: open testdata/no-such-file.hcl: no such file or directory\n" +
		"  Name another file with -c, or make this one readable.\n"
	if diff := cmp.Diff(want, messages(t, f, diags)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFileNamesAreRelativeToTheConfiguration(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"names":     "a.example\r\nb.example # comment\n#\n\n",
		"secret":    "c.example\r\n",
		"conf.hcl":  `scrub { local_names_file = "names" }`,
		"conf2.hcl": `scrub { local_names = [file("secret")] }`,
	} {
		if err := os.WriteFile(dir+"/"+name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string][]string{
		"conf.hcl":  {"a.example", "b.example"},
		"conf2.hcl": {"c.example"},
	} {
		f, diags := Load(dir + "/" + name)
		if len(diags) > 0 {
			t.Error(messages(t, f, diags))
			continue
		}
		if diff := cmp.Diff(want, f.Policy.LocalNames); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestTooLongOrNotRegularFileIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/long", make([]byte, 101), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := secret.ReadRegular(dir+"/long", 101); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	for path, want := range map[string]string{
		dir + "/long": "longer than 100 bytes",
		dir:           "not a regular file",
		"/dev/zero":   "not a regular file",
	} {
		if _, err := secret.ReadRegular(path, 100); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", path, err, want)
		}
	}
}
