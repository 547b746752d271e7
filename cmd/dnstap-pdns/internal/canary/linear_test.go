package canary

import (
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime runs work three times and returns the least CPU time of this thread, which does not
// depend on other load of the machine.
func cpuTime(t *testing.T, work func()) time.Duration {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	now := func() time.Duration {
		var ts unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
			t.Fatal(err)
		}
		return time.Duration(ts.Nano())
	}
	least := time.Hour
	for range 3 {
		start := now()
		work()
		least = min(least, now()-start)
	}
	return least
}

// TestSearchesAreLinear compares the work for a text with the work for an eighth of it. Twice the
// text may take three times as long, so eight times the text 27 times; a nested loop takes 64
// times as long.
func TestSearchesAreLinear(t *testing.T) {
	const doublings, most, attempts = 3, 3 * 3 * 3, 5
	set := NewSet([]Canary{mustParse(t, "192.0.2.53"), mustParse(t, "2001:db8:53::53"), mustParse(t, "corp.example")})
	forbidden := NewForbidden(site())
	searches := map[string]func(b []byte){
		"as octets": func(b []byte) {
			var text Text
			if err := text.Reset(b); err != nil {
				t.Error(err)
			}
			set.Search(&text, func(Finding) {})
		},
		"as rdata": func(b []byte) {
			s := recordSearch{f: forbidden, seen: map[Hit]bool{}}
			s.addSet(LocalNetwork, &forbidden.networks)
			s.addSet(Resolver, &forbidden.resolvers)
			s.unknown(b)
		},
	}
	parts := hostileTexts(longText >> doublings)
	for name, text := range hostileTexts(longText) {
		for how, search := range searches {
			whole, part := []byte(text), []byte(parts[name])
			var ratio float64
			for range attempts {
				if ratio = float64(cpuTime(t, func() { search(whole) })) / float64(cpuTime(t, func() { search(part) })); ratio < most {
					break
				}
			}
			if ratio >= most {
				t.Errorf("%s, %s: %.0f times the work for %d times the text", name, how, ratio, 1<<doublings)
			}
		}
	}
}
