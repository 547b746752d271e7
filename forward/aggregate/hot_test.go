package aggregate

import (
	"context"
	"fmt"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// record returns the record of a response with one address, in the zone example.
func record(tb testing.TB, name string) *transform.Record {
	tb.Helper()
	m := reply{name: name, zone: "example.", addresses: []byte{1}, ttl: 60, at: noon}.message(tb)
	return &transform.Record{
		Server: m.Server, HasResponse: true, QueryTime: m.QueryTime, ResponseTime: m.ResponseTime, Zone: m.Zone, Response: m.Wire,
	}
}

// batchOf returns a batch of records with different names.
func batchOf(tb testing.TB, first, n int) *forward.Batch {
	tb.Helper()
	b := &forward.Batch{}
	for i := range n {
		unit, err := Format{}.Append(nil, record(tb, fmt.Sprintf("n%d.example.", first+i)), nmsg.IDs{})
		if err != nil {
			tb.Fatal(err)
		}
		b.Buf = append(b.Buf, unit...)
		b.Units = append(b.Units, forward.Unit{End: len(b.Buf), Records: 1})
	}
	return b
}

func TestNoAllocationPerRecord(t *testing.T) {
	for _, mode := range []forward.Mode{forward.Live, forward.Replay} {
		var emitted []string
		tr := newTransport(t, testConfig(), mode, &emitted)
		bs, ctx := []*forward.Batch{batchOf(t, 0, 100)}, context.Background()
		if n := testing.AllocsPerRun(100, func() {
			if r, err := tr.Send(ctx, bs, 0); r.Delivered != 100 || err != nil {
				t.Fatalf("%+v, %v", r, err)
			}
		}); n > 0 {
			t.Errorf("%v allocations for 100 records", n)
		}
		if err := tr.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// BenchmarkSend measures records whose RRsets are in the window.
func BenchmarkSend(b *testing.B) {
	var emitted []string
	tr := newTransport(b, testConfig(), forward.Live, &emitted)
	bs, ctx := []*forward.Batch{batchOf(b, 0, 100)}, context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tr.Send(ctx, bs, 0); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(100*b.N), "ns/record")
}
