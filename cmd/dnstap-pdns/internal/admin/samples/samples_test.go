package samples

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/observers"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sent returns a container with one record for each name, which is one label.
func sent(t testing.TB, names ...string) []byte {
	t.Helper()
	var c nmsg.Container
	b := c.Begin(nil)
	for _, n := range names {
		name := append([]byte{byte(len(n))}, n+"\x04cdn1\x07example\x00"...)
		r := transform.Record{
			Server: netip.MustParseAddrPort("192.0.2.1:53"), Resolver: netip.MustParseAddrPort("0.0.0.0:0"), Zeroed: true,
			HasResponse: true, Name: name, Type: 1, Class: 1, QueryTime: transform.NoTime, ResponseTime: 1_700_000_000_000_000_000,
			Response: append(append([]byte{0, 0, 0x84, 0, 0, 1, 0, 0, 0, 0, 0, 0}, name...), 0, 1, 0, 1),
		}
		_, p, err := nmsg.AppendPayload(nil, nmsg.DNSQR, nmsg.IDs{}, &r)
		if err != nil {
			t.Fatal(err)
		}
		b = c.Add(b, p)
	}
	return c.Seal(b, 1)
}

func numbered(from, n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("n%d", from+i))
	}
	return names
}

// names returns sink and first label of each sample.
func names(t *testing.T, s *Samples) (all []string) {
	t.Helper()
	latest, on := s.Latest()
	if !on {
		t.Error("samples are off")
	}
	for _, l := range latest {
		_, after, ok := strings.Cut(l.Text, "192.0.2.1 ")
		name, _, _ := strings.Cut(after, ".")
		if !ok || strings.Contains(l.Text, "\n") {
			t.Errorf("%q is not a line of a record", l.Text)
		}
		all = append(all, l.Sink+" "+name)
	}
	return all
}

func TestNothingIsKeptUnlessSamplesAreOn(t *testing.T) {
	var set observers.Set
	s := New(&set)
	set.Sent("out", sent(t, "early"), false)
	if latest, on := s.Latest(); on || latest != nil || len(s.kept.latest()) > 0 {
		t.Errorf("kept before samples were turned on: %v", latest)
	}
	s.Show(true)
	s.Show(true)
	set.Sent("out", sent(t, "one"), false)
	if got := names(t, s); len(got) != 1 || got[0] != "out one" {
		t.Errorf("got %q", got)
	}
	s.Show(false)
	set.Sent("out", sent(t, "late"), false)
	if latest, on := s.Latest(); on || latest != nil || len(s.kept.latest()) > 0 {
		t.Errorf("kept after samples were turned off: %v", latest)
	}
	s.Show(false)
	s.Show(true)
	if got := names(t, s); len(got) != 0 {
		t.Errorf("it still has %q", got)
	}
}

func TestTheLatestTwentyAreShownTheLatestFirst(t *testing.T) {
	for name, containers := range map[string][]int{ // records in each
		"one each":       {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1},
		"many in one":    {50},
		"some in some":   {7, 7, 7, 7},
		"fewer than all": {2, 3},
	} {
		var set observers.Set
		s := New(&set)
		s.Show(true)
		n := 0
		for _, size := range containers {
			set.Sent("out", sent(t, numbered(n, size)...), false)
			n += size
		}
		got := names(t, s)
		if want := min(n, MaxSamples); len(got) != want {
			t.Errorf("%s: %d are shown, want %d", name, len(got), want)
		}
		for i, g := range got {
			if want := fmt.Sprintf("out n%d", n-1-i); g != want {
				t.Errorf("%s: %q is number %d, want %q", name, g, i, want)
			}
		}
	}
}

func TestSinksAreNamedAndCompressedContainersRead(t *testing.T) {
	var set observers.Set
	s := New(&set)
	s.Show(true)
	var d nmsg.Deflater
	small, err := d.Append(nil, sent(t, numbered(0, 9)...))
	if err != nil {
		t.Fatal(err)
	}
	set.Sent("compressed", small, false)
	set.Sent("out", sent(t, "one"), false)
	got := names(t, s)
	if len(got) != 10 || got[0] != "out one" || got[1] != "compressed n8" {
		t.Errorf("got %q", got)
	}
}

func TestUnreadablePartsAreShown(t *testing.T) {
	for name, c := range map[string][]byte{
		"garbage": []byte(strings.Repeat("garbage", 100)),
		"cut":     sent(t, "one")[:40],
		"empty":   {},
	} {
		var set observers.Set
		s := New(&set)
		s.Show(true)
		set.Sent("out", c, false)
		set.Sent("out", sent(t, "good"), false)
		latest, _ := s.Latest()
		if len(latest) == 0 || !strings.Contains(latest[0].Text, "good.") {
			t.Errorf("%s: the record after it is missing: %v", name, latest)
		}
		if len(c) > 0 && (len(latest) != 2 || latest[1].Text != "an unreadable part") {
			t.Errorf("%s: got %v", name, latest)
		}
	}
}

func TestMemoryIsBounded(t *testing.T) {
	var set observers.Set
	s := New(&set)
	s.Show(true)
	set.Sent("out", make([]byte, maxUnit+1), false)
	if kept := s.kept.latest(); len(kept) > 0 {
		t.Errorf("%d bytes of one unit are kept", len(kept[0].bytes))
	}
}

func TestTurningOnAndOffWhileInUse(t *testing.T) {
	var set observers.Set
	s := New(&set)
	c := sent(t, "one", "two")
	done := make(chan struct{})
	var others sync.WaitGroup
	for _, work := range []func(){func() { set.Sent("out", c, false) }, func() { s.Latest() }} {
		others.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					work()
				}
			}
		})
	}
	for i := range 50 {
		s.Show(i%2 == 0)
		if latest, on := s.Latest(); !on && latest != nil {
			t.Errorf("off, and %v", latest)
		}
	}
	close(done)
	others.Wait()
}

func TestKeepingAllocatesNothing(t *testing.T) {
	var r ring
	c := sent(t, numbered(0, 100)...)
	for range MaxSamples {
		r.Sent("out", c, false)
	}
	if n := testing.AllocsPerRun(100, func() { r.Sent("out", c, false) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
