package census

import (
	"fmt"
	"runtime"
	"strconv"
	"testing"
)

// TestMemoryIsBounded counts a million names with at most 65,536 entries, and checks the estimate.
func TestMemoryIsBounded(t *testing.T) {
	const million = 1_000_000
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	c := New(nil)
	for i := range million {
		c.Record(int64(i))
		c.QueryName(fmt.Sprintf("n%x.x%d.t%d.com.", i, i%1000, i%100_000))
		if i%10 == 0 {
			c.Text(strconv.Itoa(i))
		}
	}
	used := int64(heap()) - int64(before)
	r := c.Report(false)
	for _, x := range []struct{ got, want uint64 }{{r.Names, million}, {r.Texts, million / 10}} {
		if x.got < x.want*98/100 || x.got > x.want*102/100 {
			t.Errorf("got %d different, want %d within 2 %%", x.got, x.want)
		}
	}
	if r.Records != million || r.NamesSampled < million/maxKept || len(c.names.kept) > maxKept || len(c.texts.kept) > maxKept {
		t.Errorf("got %d records, one in %d names, %d and %d kept", r.Records, r.NamesSampled, len(c.names.kept), len(c.texts.kept))
	}
	if limit := int64(32 << 20); used > limit {
		t.Errorf("%d bytes in use, want at most %d", used, limit)
	}
	runtime.KeepAlive(c)
}

// TestSamplingCountsKindsToo has 150,000 names, a tenth of which have a kind.
func TestSamplingCountsKindsToo(t *testing.T) {
	c := New(nil)
	for i := range 150_000 {
		c.Record(0)
		switch i % 10 {
		case 0:
			c.Name(fmt.Sprintf("%d.dy.fi", i))
		default:
			c.Name(fmt.Sprintf("%d.x.org", i))
		}
	}
	k := c.Report(false).Kinds[dynamicDNS]
	if k.Names < 14_000 || k.Names > 16_000 || k.Records != 15_000 {
		t.Errorf("got %d names in %d records, want about 15,000 in 15,000", k.Names, k.Records)
	}
}
