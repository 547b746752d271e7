package samples

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/leaving"
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
			Answered: true, Name: name, Type: 1, Class: 1, QueryTime: transform.NoTime, ResponseTime: 1_700_000_000_000_000_000,
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
	var tap leaving.Tap
	s := New(&tap)
	tap.Sent("out", sent(t, "early"))
	if latest, on := s.Latest(); on || latest != nil || len(s.kept.latest()) > 0 {
		t.Errorf("kept before samples were turned on: %v", latest)
	}
	s.Show(true)
	s.Show(true)
	tap.Sent("out", sent(t, "one"))
	if got := names(t, s); len(got) != 1 || got[0] != "out one" {
		t.Errorf("got %q", got)
	}
	s.Show(false)
	tap.Sent("out", sent(t, "late"))
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
		var tap leaving.Tap
		s := New(&tap)
		s.Show(true)
		n := 0
		for _, size := range containers {
			tap.Sent("out", sent(t, numbered(n, size)...))
			n += size
		}
		got := names(t, s)
		if want := min(n, Most); len(got) != want {
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
	var tap leaving.Tap
	s := New(&tap)
	s.Show(true)
	var d nmsg.Deflater
	small, err := d.Append(nil, sent(t, numbered(0, 9)...))
	if err != nil {
		t.Fatal(err)
	}
	tap.Sent("compressed", small)
	tap.Sent("out", sent(t, "one"))
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
		var tap leaving.Tap
		s := New(&tap)
		s.Show(true)
		tap.Sent("out", c)
		tap.Sent("out", sent(t, "good"))
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
	var tap leaving.Tap
	s := New(&tap)
	s.Show(true)
	tap.Sent("out", make([]byte, maxContainer+1))
	if kept := s.kept.latest(); len(kept) > 0 {
		t.Errorf("%d bytes of one container are kept", len(kept[0].bytes))
	}
}

func TestTurningOnAndOffWhileInUse(t *testing.T) {
	var tap leaving.Tap
	s := New(&tap)
	c := sent(t, "one", "two")
	done := make(chan struct{})
	var others sync.WaitGroup
	for _, work := range []func(){func() { tap.Sent("out", c) }, func() { s.Latest() }} {
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
	for range Most {
		r.Sent("out", c)
	}
	if n := testing.AllocsPerRun(100, func() { r.Sent("out", c) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
