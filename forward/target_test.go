package forward

import (
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
	} {
		if got, err := ParseTarget(url); err == nil {
			t.Errorf("%q was taken for %v", url, got)
		}
	}
}

// FuzzParseTarget checks that String of an accepted target parses to the same target, and
// that the target has a destination.
func FuzzParseTarget(f *testing.F) {
	for _, url := range []string{
		"stdout:", "udp://192.0.2.1:9430", "udp://[2001:db8::1%25lo]:9430", "udp://localhost:65536", "udp://:1", "udp://h:+1",
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
