package transform

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

// TestEveryRecordOfAPairerPassesAChecker checks the records of all captures, and changes each octet of some
// of their messages: what passes is a message that a Pairer would leave as it is.
func TestEveryRecordOfAPairerPassesAChecker(t *testing.T) {
	policy, err := NewPolicy(Config{PairingTimeout: 50 * time.Millisecond, Forwarded: true, Unanswered: true, LocalServers: true,
		Rcodes: []uint8{0, 2, 3, 5}, KeepLookups: true, TimeResolution: time.Nanosecond})
	if err != nil {
		t.Fatal(err)
	}
	var c Checker
	var w dnswire.Walker
	records, changed := 0, 0
	for _, name := range captures {
		p := NewPairer(NewBudget(1 << 16))
		emit := func(r *Record) {
			got := *r
			got.Name, got.Type, got.Class, got.Rcode, got.ID = nil, 0, 0, 0, 0
			if err := c.Check(&got); err != nil {
				t.Fatalf("%v: %+v", err, r)
			}
			if diff := cmp.Diff(*r, got, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
				t.Fatal(diff)
			}
			if records++; records%50 != 0 || !r.HasResponse {
				return
			}
			for i := range r.Response {
				altered := *r
				altered.Response = bytes.Clone(r.Response)
				altered.Response[i] ^= 0x20
				if c.Check(&altered) != nil {
					continue
				}
				changed++
				if !w.Walk(altered.Response) || w.Flags&cleared != 0 || rebuilds(&w) || w.End != len(altered.Response) {
					t.Errorf("octet %d of %x: it passes", i, altered.Response)
				}
			}
		}
		for _, m := range loadCapture(t, name) {
			p.Take(m, policy, emit)
		}
		p.Finish(policy, emit)
	}
	if records < 500 || changed == 0 {
		t.Errorf("%d records, %d altered ones pass", records, changed)
	}
}

func TestTimesThatAreStated(t *testing.T) {
	for _, tc := range []struct {
		sec  int64
		nsec uint32
		want Time
		ok   bool
	}{
		{0, 0, 0, true}, {1, 999_999_999, 1_999_999_999, true}, {0, 1_000_000_000, 0, false}, {-1, 0, 0, false},
		{1<<63 - 1, 0, 0, false}, {9_223_372_035, 999_999_999, 9_223_372_035_999_999_999, true}, {9_223_372_036, 0, 0, false},
	} {
		if got, ok := TimeOf(tc.sec, tc.nsec); got != tc.want || ok != tc.ok {
			t.Errorf("%d s %d ns: %d, %v", tc.sec, tc.nsec, got, ok)
		}
	}
}
