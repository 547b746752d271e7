package conf

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dnstap-pdns/dnstap-pdns/conf/certs"
	"github.com/dnstap-pdns/dnstap-pdns/conf/secret"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/aggregate"
	"github.com/dnstap-pdns/dnstap-pdns/forward/cof"
	"github.com/dnstap-pdns/dnstap-pdns/forward/file"
	"github.com/dnstap-pdns/dnstap-pdns/forward/fstrm"
	"github.com/dnstap-pdns/dnstap-pdns/forward/jsonl"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/forward/spool"
	"github.com/dnstap-pdns/dnstap-pdns/forward/stdout"
	"github.com/dnstap-pdns/dnstap-pdns/forward/wss"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
	"github.com/dnstap-pdns/dnstap-pdns/transform/rrset"
)

func TestEveryAttributeOfSinksSetsItsField(t *testing.T) {
	setEnvironment(t)
	f, diags := Load("testdata/valid/sinks.hcl")
	if len(diags) > 0 {
		t.Fatal(messages(t, f, diags))
	}
	// sink adds the defaults of every sink.
	sink := func(c forward.SinkConfig) forward.SinkConfig {
		if c.MTU == 0 {
			c.MTU = 1 << 20
		}
		if c.Flush == 0 {
			c.Flush = 500 * time.Millisecond
		}
		if c.Queue == 0 {
			c.Queue = 16 << 20
		}
		return c
	}
	want := []forward.SinkConfig{
		sink(forward.SinkConfig{
			Name:   "sie",
			Target: forward.Target{Scheme: forward.WSS, Address: "submit.example.net/session/sensor"},
			Format: forward.NMSG{Message: nmsg.DNSQR, Resolution: time.Minute},
			Filter: forward.Filter{
				Names:       []string{"example.net", "xn--bcher-kva.example"},
				ExceptNames: []string{"private.example.net"},
				Types:       []uint16{1, 28, 65280},
				RCodes:      []uint16{0},
			},
			Zlib: true,
			Transport: spool.Config{
				Dir: "/var/lib/dnstap-pdns/spool", MaxBytes: 2 << 30, MaxAge: 168 * time.Hour,
				Transport: wss.Config{Channel: 202, APIKey: secret.InFile("testdata/valid/secret.txt"), TLS: certs.ClientFiles{
					CA:   "testdata/valid/ca.pem",
					Cert: "/etc/dnstap-pdns/cert.pem",
					Key:  "-----BEGIN PRIVATE KEY-----\ntop-secret\n-----END PRIVATE KEY-----",
				}},
			},
		}),
		sink(forward.SinkConfig{
			Name:      "test",
			Target:    forward.Target{Scheme: forward.WS, Address: "[::1]:8080/session/sensor"},
			Format:    forward.NMSG{Message: nmsg.DNSQR},
			MTU:       64 << 10,
			Transport: wss.Config{Channel: 4294967295, APIKey: secret.Text("hidden value")},
		}),
		sink(forward.SinkConfig{
			Name:      "socket",
			Target:    forward.Target{Scheme: forward.Unix, Address: "/run/tap.sock"},
			Format:    fstrm.Format{Identity: "sensor-7", Version: "dnstap-pdns"},
			Transport: fstrm.Config{},
		}),
		sink(forward.SinkConfig{
			Name:      "stream",
			Target:    forward.Target{Scheme: forward.TCP, Address: "collector.example.net:6000"},
			Format:    fstrm.Format{},
			Flush:     time.Second,
			Queue:     64 << 20,
			Transport: fstrm.Config{TLS: true},
		}),
		sink(forward.SinkConfig{
			Name:      "frames",
			Target:    forward.Target{Scheme: forward.File, Address: "/var/lib/pdns/%Y%m%dT%H%M.fstrm"},
			Format:    fstrm.Format{},
			Transport: file.Config{Rotate: 5 * time.Minute, RotateSize: 256 << 20, Keep: file.Keep{Age: 24 * time.Hour}},
		}),
		sink(forward.SinkConfig{
			Name:      "lines",
			Target:    forward.Target{Scheme: forward.File, Address: "/var/lib/pdns/%Y%m%dT%H%M%S.json"},
			Format:    jsonl.Format{Message: nmsg.DNSObs},
			Filter:    forward.Filter{RCodes: []uint16{3, 2}},
			Transport: file.Config{Rotate: time.Hour, RotateSize: 1 << 20, OnRotate: []string{"upload"}},
		}),
		sink(forward.SinkConfig{
			Name:      "pipe",
			Target:    forward.Target{Scheme: forward.Stdout},
			Format:    jsonl.Format{Message: nmsg.DNSQR},
			Transport: stdout.Config{},
		}),
	}
	if diff := cmp.Diff(want, f.Sinks, sameAddresses); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if want := []string{"testdata/valid/secret.txt", "testdata/valid/key.txt"}; !slices.Equal(f.ReadFiles, want) {
		t.Errorf("files that functions read: got %q, want %q", f.ReadFiles, want)
	}
}

func TestEveryAttributeOfAggregatesSetsItsField(t *testing.T) {
	setEnvironment(t)
	f, diags := Load("testdata/valid/aggregate.hcl")
	if len(diags) > 0 {
		t.Fatal(messages(t, f, diags))
	}
	want := []forward.SinkConfig{{
		Name:   "all",
		Target: forward.Target{Scheme: forward.Aggregate},
		Format: aggregate.Format{},
		MTU:    1 << 20,
		Flush:  500 * time.Millisecond,
		Queue:  16 << 20,
		Transport: aggregate.Config{
			Window: 10 * time.Minute, MaxEntries: 1_000_000, MaxBytes: 512 << 20, State: "/var/lib/dnstap-pdns/all.state",
			BailiwickWait: 10 * time.Second, RootServers: transform.RootServers(), RootZone: "testdata/valid/root.zone",
		},
	}, {
		Name:   "some",
		Target: forward.Target{Scheme: forward.Aggregate},
		Format: aggregate.Format{},
		Filter: forward.Filter{Names: []string{"example.net"}, ExceptNames: []string{"private.example.net"}, Types: []uint16{1}, RCodes: []uint16{0}},
		MTU:    1 << 20,
		Flush:  time.Second,
		Queue:  64 << 20,
		Transport: aggregate.Config{
			Window: time.Hour, MaxEntries: 5000, MaxBytes: 8 << 20, Insertions: true,
			BailiwickWait: time.Minute, RootServers: transform.RootServers(), RootZone: "/var/lib/dnstap-pdns/root.zone",
		},
	}}
	if diff := cmp.Diff(want, f.Sinks[:2], sameAddresses); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	type fed struct {
		format forward.Format
		from   string
		filter forward.Filter
	}
	wantFed := map[string]fed{
		"database": {forward.DNSDedupe{Resolution: time.Minute}, "all", forward.Filter{Names: []string{"example.net"}, ExceptNames: []string{"private.example.net"}, Types: []uint16{2}}},
		"records":  {forward.NMSG{Message: nmsg.DNSQR}, "", forward.Filter{}},
		"lines":    {jsonl.COF{Profile: cof.Draft}, "some", forward.Filter{}},
		"importer": {jsonl.COF{Profile: cof.CIRCL}, "some", forward.Filter{}},
	}
	got := map[string]fed{}
	for _, s := range f.Outputs() {
		got[s.Name] = fed{s.Format, s.From, s.Filter}
	}
	if diff := cmp.Diff(wantFed, got, cmp.AllowUnexported(fed{})); diff != "" {
		t.Errorf("sinks (-want +got):\n%s", diff)
	}
}

// TestATableTakesTheLimitsOfTheSchema: a valid configuration has limits that a table can have.
func TestATableTakesTheLimitsOfTheSchema(t *testing.T) {
	limits := map[string]attribute{}
	for _, a := range schemaOf("aggregate").attributes {
		limits[a.name] = a
	}
	entries, octets := limits["max_entries"], limits["max_bytes"]
	for _, l := range []rrset.Limits{
		{Window: time.Duration(limits["window"].lo), MaxEntries: int(entries.lo), MaxBytes: int(octets.lo)},
		{Window: time.Duration(limits["window"].hi), MaxEntries: int(entries.hi), MaxBytes: int(octets.hi)},
	} {
		if _, err := rrset.NewTable(l, func(*rrset.Aggregate) {}); err != nil {
			t.Errorf("%+v: %v", l, err)
		}
	}
}

func TestIDsOfASourceReplaceThoseOfTheSensor(t *testing.T) {
	setEnvironment(t)
	f, diags := Load("testdata/valid/sinks.hcl")
	if len(diags) > 0 {
		t.Fatal(messages(t, f, diags))
	}
	for source, want := range map[string]nmsg.IDs{
		"first":   {Source: 12, Operator: 2, Group: 3},
		"second":  {Source: 0, Operator: 4294967295, Group: 9},
		"another": {Source: 1, Operator: 2, Group: 3},
	} {
		if got := f.IDsOf(source); got != want {
			t.Errorf("%s: got %+v, want %+v", source, got, want)
		}
	}
}

// TestAKeyInAFileIsReadAgain: its contributor may replace it while the sensor runs.
func TestAKeyInAFileIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	for function, want := range map[string]string{
		`file("key")`: "new", `credential("key")`: "new", `env("PDNS_TEST_KEY")`: "old", `file(env("PDNS_TEST_NAME"))`: "new",
	} {
		t.Setenv("PDNS_TEST_NAME", key)
		t.Setenv("PDNS_TEST_KEY", "old")
		if err := os.WriteFile(key, []byte("old\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		f, diags := Parse(filepath.Join(dir, "c.hcl"), []byte("sink \"nmsg\" \"s\" {\nto = \"wss://submit.example.net/session/s\"\nchannel = 202\napi_key = "+function+"\n}\n"))
		if len(diags) > 0 {
			t.Fatal(messages(t, f, diags))
		}
		if err := os.WriteFile(key, []byte("new\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv("PDNS_TEST_KEY", "new")
		if got, err := f.Sinks[0].Transport.(wss.Config).APIKey.Read(); err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", function, got, err, want)
		}
		if got := f.Mask("the key is old."); got != "the key is "+function+"." {
			t.Errorf("%s: got %q", function, got)
		}
	}
}

// TestAnEqualResolutionSharesTheEncoding: a sink whose times are as exact as those of scrub has
// the format of a sink without time_resolution.
func TestAnEqualResolutionSharesTheEncoding(t *testing.T) {
	f := mustParse(t, `
scrub { time_resolution = "1m" }
sink "nmsg" "a" { to = "udp://192.0.2.1:9430" }
sink "nmsg" "b" {
  to = "udp://192.0.2.2:9430"
  policy { time_resolution = "60s" }
}
sink "nmsg" "c" {
  to = "udp://192.0.2.3:9430"
  policy { time_resolution = "90s" }
}
`)
	if a, b, c := f.Sinks[0].Format, f.Sinks[1].Format, f.Sinks[2].Format; a != b || a == c {
		t.Errorf("formats %v, %v, %v", a, b, c)
	}
}
