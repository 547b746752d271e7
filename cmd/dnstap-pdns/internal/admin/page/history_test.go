package page

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/admin"
)

// ledgerAt returns a ledger with these totals.
func ledgerAt(at time.Time, read uint64, delivered ...admin.Sink) *admin.Ledger {
	return &admin.Ledger{Time: at, Total: admin.Messages{Read: read}, Sinks: delivered}
}

func sink(name string, delivered uint64) admin.Sink {
	return admin.Sink{Name: name, Delivered: delivered}
}

func TestNoRateIsBelowZero(t *testing.T) {
	start := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		sinks [][]admin.Sink // in successive ticks
		want  []uint64       // delivered, from the second on
	}{
		"steady":           {[][]admin.Sink{{sink("a", 100)}, {sink("a", 130)}, {sink("a", 130)}}, []uint64{30, 0}},
		"one goes":         {[][]admin.Sink{{sink("a", 1000), sink("b", 5)}, {sink("b", 8)}}, []uint64{3}},
		"one comes":        {[][]admin.Sink{{sink("a", 1000)}, {sink("a", 1001), sink("b", 7)}}, []uint64{8}},
		"none is left":     {[][]admin.Sink{{sink("a", 1000)}, {}}, []uint64{0}},
		"written is lost":  {[][]admin.Sink{{{Name: "a", Written: 1000}}, {{Name: "a", Written: 2}}}, []uint64{0}},
		"written is named": {[][]admin.Sink{{{Name: "a", Written: 10}}, {{Name: "a", Delivered: 10, Written: 1}}}, []uint64{1}},
	} {
		var h history
		at := start
		for _, sinks := range tt.sinks {
			h.add(ledgerAt(at, 0, sinks...))
			at = at.Add(tick)
		}
		points := h.within(at)
		if len(points) != len(tt.want) {
			t.Errorf("%s: %d points, want %d", name, len(points), len(tt.want))
			continue
		}
		for i, p := range points {
			if p.amounts[delivered] != tt.want[i] {
				t.Errorf("%s: %d in tick %d, want %d", name, p.amounts[delivered], i, tt.want[i])
			}
		}
	}
}

// TestAnHourIsKept runs the page's own sampling.
func TestAnHourIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, ledgers := time.Now(), 0
		p := mustPage(t, func() admin.Ledger {
			ledgers++
			return *ledgerAt(time.Now(), uint64(5*time.Since(start).Seconds()))
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); p.Run(ctx) }()
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		if plots := p.history.plots(time.Now()); plots[read].Now != "5" || plots[read].Since != "20 min" {
			t.Errorf("after 20 minutes: %+v", plots[read])
		}
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		points := p.history.within(time.Now())
		if len(points) != 360 || time.Since(points[0].at) > time.Hour || time.Since(points[359].at) != 0 {
			t.Errorf("%d points, the first of %v ago", len(points), time.Since(points[0].at))
		}
		if want := int(time.Since(start)/tick) + 1; ledgers != want {
			t.Errorf("%d ledgers were made in %v, want %d", ledgers, time.Since(start), want)
		}
		cancel()
		<-done
		time.Sleep(59 * time.Minute) // sampling has ended
		if n := len(p.history.within(time.Now())); n == 0 || n > 6 {
			t.Errorf("%d points are left after 59 minutes", n)
		}
	})
}

func TestPlotsAreDescribedInWords(t *testing.T) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	var h history
	plots := h.plots(now)
	if len(plots) != int(numMeasures) {
		t.Fatalf("%d plots of %d measures", len(plots), numMeasures)
	}
	if got := plots[0].Label(); got != "Messages read over the last hour: nothing is known yet." {
		t.Errorf("got %q", got)
	}
	for i, n := range []uint64{0, 100, 1300, 1300} { // 10, 120 and 0 per second
		h.add(ledgerAt(now.Add(time.Duration(i-3)*tick), n))
	}
	p := h.plots(now)[read]
	if want := "Messages read over the last 30 s, messages per second: now 0, on average 43.3, at most 120."; p.Label() != want {
		t.Errorf("got  %s\nwant %s", p.Label(), want)
	}
	if want := "M714.0 95.0L716.0 95.0L718.0 40.0L720.0 100.0"; p.Line != want || p.Top != "200" || p.Half != "100" {
		t.Errorf("got %s, up to %s by way of %s, want %s", p.Line, p.Top, p.Half, want)
	}
	if !strings.HasPrefix(p.Area, p.Line) || !strings.HasSuffix(p.Area, "L720.0 100L714.0 100Z") {
		t.Errorf("the area is %s", p.Area)
	}
}
