package page

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/admin"
	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/admin/samples"
	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/observers"
)

func flowOf(l admin.Ledger) *flow {
	return viewOf("", &l, new(history), samples.New(new(observers.Set))).Flow()
}

func TestTheFlowShowsEveryPart(t *testing.T) {
	f := flowOf(full())
	said := []string{}
	for _, c := range f.Captions {
		said = append(said, strings.TrimSpace(c.Name+" "+c.Text))
	}
	all := strings.Join(said, "|")
	for _, want := range []string{"read 2,488,327|", "records 1,234,567|", "paired 1,234,568|", "held 2|", "dropped 19,190|", hostile + "|", "files|98,765 delivered, 4,321 written, 5 queued, 6 spooled, 7 filtered, 21,021 lost"} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is not in %s", want, all)
		}
	}
	if want := "2,488,327 messages read: 1,234,567 records, 1,234,568 paired, 2 held, 19,190 dropped, sink "; !strings.HasPrefix(f.Label, want) {
		t.Errorf("got  %s\nwant %s", f.Label, want)
	}
	if bands := len(f.Bands); bands != 4+3 {
		t.Errorf("%d bands", bands)
	}
}

func TestLongNamesAreCutInTheFlow(t *testing.T) {
	l := full()
	l.Sinks[0].Name = strings.Repeat("é", longestName+1)
	want := strings.Repeat("é", longestName-1) + "…"
	for _, c := range flowOf(l).Captions {
		if c.Name == want {
			return
		}
	}
	t.Errorf("no caption %q", want)
}

func TestTheFlowOfNothing(t *testing.T) {
	if f := flowOf(empty()); f != nil {
		t.Errorf("nothing was read, and %+v", f)
	}
	l := empty()
	l.Sinks = nil
	l.Total = admin.Messages{Read: 5, Dropped: map[string]uint64{"oversize": 5}}
	if f := flowOf(l); len(f.Bands) != 1 || len(f.Blocks) != 6-1 {
		t.Errorf("only drops, and %d bands, %d blocks", len(f.Bands), len(f.Blocks))
	}
}

// TestTheFlowFitsItsPicture with the smallest and largest counts.
func TestTheFlowFitsItsPicture(t *testing.T) {
	for sinks := range 40 {
		for _, records := range []uint64{0, 1, 1 << 50, math.MaxUint64 / 2} {
			l := empty()
			l.Total = admin.Messages{Read: records + 7, Records: records, Paired: 7}
			l.Sinks = nil
			for i := range sinks {
				l.Sinks = append(l.Sinks, admin.Sink{Name: fmt.Sprint(i), Offered: records, Delivered: records / 2, Queued: records - records/2})
			}
			f := flowOf(l)
			height, err := strconv.ParseFloat(f.Height, 64)
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range f.Blocks {
				y, err1 := strconv.ParseFloat(b.Y, 64)
				h, err2 := strconv.ParseFloat(b.Height, 64)
				if err1 != nil || err2 != nil || !(y >= 0 && h >= 0 && y+h <= height+0.2) {
					t.Errorf("%d sinks, %d records: a block from %s, %s high, in a picture of %s", sinks, records, b.Y, b.Height, f.Height)
				}
			}
		}
	}
}
