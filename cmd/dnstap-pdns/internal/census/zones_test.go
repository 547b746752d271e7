package census

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestZonesAreDisposableIfNamesAreNotRepeated: queries to several servers at once do not repeat a
// name.
func TestZonesAreDisposableIfNamesAreNotRepeated(t *testing.T) {
	for what, x := range map[string]struct {
		names int
		again int // names that are repeated
		after time.Duration
		want  uint64 // zones
	}{
		"once":            {names: 100, want: 1},
		"too few":         {names: 29},
		"several servers": {names: 100, again: 100, after: 30 * time.Second, want: 1},
		"few repeated":    {names: 100, again: 5, after: time.Hour, want: 1},
		"more repeated":   {names: 100, again: 6, after: time.Hour},
		"all repeated":    {names: 100, again: 100, after: time.Hour},
	} {
		c := New(nil)
		for i := range x.names {
			c.Record(0)
			c.QueryName(fmt.Sprintf("a%d.b.vendor-test.com", i))
		}
		for i := range x.again {
			c.Record(int64(x.after))
			c.QueryName(fmt.Sprintf("a%d.b.vendor-test.com", i))
		}
		got := c.Report(true).Kinds[disposable]
		if got.Zones != x.want || x.want > 0 && !cmp.Equal(got.Examples, []string{"vendor-test.com"}) {
			t.Errorf("%s: got %+v, want %d zones", what, got, x.want)
		}
	}
}

func TestReverseNamesMakeNoDisposableZone(t *testing.T) {
	c := New(nil)
	for i := range 100 {
		c.Record(0)
		c.QueryName(fmt.Sprintf("%d.100.51.198.in-addr.arpa", i))
		c.QueryName(fmt.Sprintf("customer%d.duckdns.org", i)) // a public suffix
	}
	if got := c.Report(true).Kinds[disposable]; got.Zones != 0 {
		t.Errorf("got %+v", got)
	}
}
