package pcap

import (
	"bytes"
	"log/slog"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDestinationsOfTunnels uses the loopback interface, which every machine has and whose
// addresses are no destinations.
func TestDestinationsOfTunnels(t *testing.T) {
	to := []netip.Prefix{netip.MustParsePrefix("203.0.113.200/32")}
	for name, c := range map[string]struct {
		interfaces  []string
		decapsulate bool
		to, want    []netip.Prefix
		warns       bool
	}{
		"configured":        {[]string{"lo"}, true, to, to, false},
		"no decapsulation":  {[]string{"lo"}, false, nil, nil, false},
		"loopback":          {[]string{"lo"}, true, nil, nil, true},
		"an interface gone": {[]string{"gone0"}, true, nil, nil, true},
	} {
		var log bytes.Buffer
		s := &Source{config: Config{Interfaces: c.interfaces, Decapsulate: c.decapsulate, DecapsulateTo: c.to},
			log: slog.New(slog.NewTextHandler(&log, nil))}
		got, err := s.destinations()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c.want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if warns := bytes.Contains(log.Bytes(), []byte("all tunnels are refused")); warns != c.warns {
			t.Errorf("%s: warns %v, want %v", name, warns, c.warns)
		}
	}
}
