package pcap

import (
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/packet"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/ring"
)

// filled returns a Stats in which every count is n.
func filled(n uint64, interfaces ...ring.InterfaceStats) Stats {
	var s Stats
	fill(reflect.ValueOf(&s).Elem(), n)
	s.Rings.Interfaces = interfaces
	return s
}

func fill(v reflect.Value, n uint64) {
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.Struct:
			fill(f, n)
		case reflect.Uint64:
			f.SetUint(n)
		case reflect.Int:
			f.SetInt(int64(n))
		}
	}
}

func TestSourcesOfOneNameAreCountedTogether(t *testing.T) {
	of := func(name string, up bool, n uint64) ring.InterfaceStats {
		return ring.InterfaceStats{Name: name, Up: up, Counts: ring.Counts{Packets: n, Drops: n, Freezes: n, Damaged: n}}
	}
	current := filled(2, of("b", true, 2), of("c", true, 2))
	current.Capturing = true
	gone := filled(5, of("a", false, 5), of("b", false, 5))
	before := filled(5, of("a", false, 5), of("b", false, 5))
	current.Add(gone)
	want := filled(7, of("a", false, 5), of("b", true, 7), of("c", true, 2))
	want.Capturing = true
	senders := cmpopts.EquateComparable(packet.TopSenders{})
	if diff := cmp.Diff(want, current, senders); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, gone, senders); diff != "" {
		t.Errorf("the added counts have changed:\n%s", diff)
	}
}
