package forward

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTargetsAreReadFromURLs(t *testing.T) {
	for _, c := range []struct {
		url  string
		want Target
		mtu  int
	}{
		{"udp://192.0.2.1:9430", Target{UDP, "192.0.2.1:9430"}, 1280},
		{"udp://[2001:db8::1]:9430", Target{UDP, "[2001:db8::1]:9430"}, 1280},
		{"udp://nmsg.example.net:9430", Target{UDP, "nmsg.example.net:9430"}, 1280},
		{"udp://localhost:9430", Target{UDP, "localhost:9430"}, 8192},
		{"udp://127.0.0.53:1", Target{UDP, "127.0.0.53:1"}, 8192},
		{"udp://[::1]:65535", Target{UDP, "[::1]:65535"}, 8192},
		{"file:///var/lib/%Y.nmsg", Target{File, "/var/lib/%Y.nmsg"}, 1 << 20},
		{"stdout:", Target{Stdout, ""}, 1 << 20},
		{"wss://submit.example.net/session/s", Target{WSS, "submit.example.net/session/s"}, 1 << 20},
		{"ws://[::1]:8080/session/s", Target{WS, "[::1]:8080/session/s"}, 1 << 20},
		{"wss://submit.example.net:8443/session/a%20b", Target{WSS, "submit.example.net:8443/session/a%20b"}, 1 << 20},
		{"unix:///run/a@b.sock", Target{Unix, "/run/a@b.sock"}, 1 << 20},
		{"tcp://192.0.2.1:6000", Target{TCP, "192.0.2.1:6000"}, 1 << 20},
		{"kafka://broker.example.net:9092/dns", Target{Kafka, "broker.example.net:9092/dns"}, 256 << 10},
		{"kafka://127.0.0.1:9092,[::1]:9093,localhost:1/A.b_c-9", Target{Kafka, "127.0.0.1:9092,[::1]:9093,localhost:1/A.b_c-9"}, 256 << 10},
	} {
		got, err := ParseTarget(c.url)
		if err != nil {
			t.Errorf("%s: %v", c.url, err)
			continue
		}
		if diff := cmp.Diff(c.want, got); diff != "" || got.DefaultMTU() != c.mtu || got.String() != c.url {
			t.Errorf("%s: %v, mtu %d (-want +got):\n%s", c.url, got, got.DefaultMTU(), diff)
		}
	}
}

func TestInvalidTargetsAreRefused(t *testing.T) {
	for _, url := range []string{
		"", "udp:", "udp://", "udp://host", "udp://:9430", "udp://host:0", "udp://host:65536", "udp://host:name",
		"file://dir/name", "file:///dir/", "file:///dir/.", "file:///dir/..", "file:name", "stdout", "stdout://", "http://host/",
		"wss://host", "wss://host/", "wss:///session/s", "wss://host/session/s#s", "wss://ho%st/session/s", "wss://ho\\st/session/s",
		"ws://host/session/%zz", "ws://host/session/%", "ws://2001:db8::1/session/s",
		"kafka://", "kafka://host", "kafka://host/", "kafka:///dns", "kafka://host/.", "kafka://host/..", "kafka://host/a/b", "kafka://host/a b",
		"kafka://host/" + strings.Repeat("a", 250), "kafka://a,/dns", "kafka://a,,b/dns", "kafka://,a/dns", "kafka://a:0/dns", "kafka://a:65536/dns",
		"kafka://a:name/dns", "kafka://2001:db8::1/dns", "kafka://[2001:db8::1]/dns", "kafka://[::1/dns", "kafka://a b/dns", "kafka://a;b/d\u00fc", "kafka://:9092/dns",
	} {
		if got, err := ParseTarget(url); err == nil {
			t.Errorf("%q was taken for %v", url, got)
		}
	}
}

func TestABrokerWithoutPortHasTheDefault(t *testing.T) {
	got, err := ParseTarget("kafka://a,192.0.2.1,b:9094/" + strings.Repeat("a", 249))
	if want := "a:9092,192.0.2.1:9092,b:9094/" + strings.Repeat("a", 249); err != nil || got.Address != want {
		t.Fatalf("got %q, %v, want %q", got.Address, err, want)
	}
	brokers, topic := got.Topic()
	if want := []string{"a:9092", "192.0.2.1:9092", "b:9094"}; !slices.Equal(brokers, want) || topic != strings.Repeat("a", 249) {
		t.Errorf("got %q and %q, want %q", brokers, topic, want)
	}
}

func TestHostsOfATarget(t *testing.T) {
	for url, want := range map[string]struct {
		hosts    []string
		loopback bool
	}{
		"udp://192.0.2.1:9430":                    {[]string{"192.0.2.1"}, false},
		"tcp://[2001:db8::1]:6000":                {[]string{"2001:db8::1"}, false},
		"tcp://[::ffff:127.0.0.1]:6000":           {[]string{"::ffff:127.0.0.1"}, true},
		"wss://submit.example.net/session/s":      {[]string{"submit.example.net"}, false},
		"wss://submit.example.net:8443/session/s": {[]string{"submit.example.net"}, false},
		"ws://localhost/session/s":                {[]string{"localhost"}, true},
		"ws://[::1]:8080/session/s":               {[]string{"::1"}, true},
		"unix:///run/tap.sock":                    {nil, false},
		"file:///var/lib/x":                       {nil, false},
		"stdout:":                                 {nil, false},
		"kafka://a.example,[::1]:9093/dns":        {[]string{"a.example", "::1"}, false},
		"kafka://[::1]:9093,a.example/dns":        {[]string{"::1", "a.example"}, false},
		"kafka://127.0.0.2,localhost:9093/dns":    {[]string{"127.0.0.2", "localhost"}, true},
	} {
		target, err := ParseTarget(url)
		if err != nil || !slices.Equal(target.Hosts(), want.hosts) || target.IsLoopback() != want.loopback {
			t.Errorf("%s: hosts %q, loopback %t, %v, want %+v", url, target.Hosts(), target.IsLoopback(), err, want)
		}
		if first := append(want.hosts, "")[0]; target.Host() != first {
			t.Errorf("%s: host %q, want %q", url, target.Host(), first)
		}
	}
}

func TestOnlyAllowedSchemesAreRead(t *testing.T) {
	_, err := ParseTarget("udp://192.0.2.1:9430", File, Stdout)
	if want := `"udp://192.0.2.1:9430" is not a target: want file:///DIR/NAME or stdout:`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if got, err := ParseTarget("stdout:", File, Stdout); err != nil || got != (Target{Scheme: Stdout}) {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestErrorsDoNotContainThePasswordOfAURL(t *testing.T) {
	for _, url := range []string{
		"wss://user:pa55@host/session/s", "wss://pa55@host/session/s", "ws://user:se/pa55@host/session/s",
		"tcp://user:pa55@host:1", "udp://user:pa55@host:1", "file://user:pa55@host/x", "https://user:pa55@host/",
		"wss://host/session/s?key=pa55", "wss://host?key=pa55", "https://host/?key=pa55",
		"kafka://user:pa55@host/dns", "kafka://host,user:pa55@host/dns", "kafka://host/dns?password=pa55",
	} {
		if got, err := ParseTarget(url); err == nil || strings.Contains(err.Error(), "pa55") {
			t.Errorf("%s: got %v, %v", url, got, err)
		}
	}
}

// FuzzParseTarget checks that String of an accepted target parses to the same target, and
// that the target has a destination.
func FuzzParseTarget(f *testing.F) {
	for _, url := range []string{
		"stdout:", "udp://192.0.2.1:9430", "udp://[2001:db8::1%25lo]:9430", "udp://localhost:65536", "udp://:1", "udp://h:+1",
		"kafka://a,[::1]:9093/dns", "kafka://a,/dns", "kafka://a:1/..", "kafka://[::1%25lo]:1,a/-", "kafka://a:+1/dns", "kafka:///dns",
		"file:///var/lib/../x/%Y.nmsg", "file:////", "file:///dir/.", "file://rel", "http://host/", "",
	} {
		f.Add(url)
	}
	f.Fuzz(func(t *testing.T, url string) {
		target, err := ParseTarget(url)
		if err != nil {
			if target != (Target{}) || err.Error() == "" {
				t.Fatalf("%v with %v", target, err)
			}
			return
		}
		again, err := ParseTarget(target.String())
		if err != nil || again != target {
			t.Fatalf("%q is written %q, which reads %v: %v", url, target, again, err)
		}
		if mtu := target.DefaultMTU(); mtu < 512 || mtu > 1<<20 {
			t.Fatalf("%q: mtu %d", url, mtu)
		}
	})
}
