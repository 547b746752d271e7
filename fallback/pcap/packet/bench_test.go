package packet

import (
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// discard takes messages and only counts them.
type discard struct{ taken, dropped int }

func (d *discard) Take(*transform.Message) transform.Reason { d.taken++; return transform.Kept }
func (d *discard) Drop(transform.Reason)                    { d.dropped++ }

// ordinary is a query and its response, as they come by the million.
func ordinary(tb testing.TB) map[string][][]byte {
	pairs := map[string][][]byte{}
	for name, f := range map[string]flow{"IPv4": asking(resolver4, server4), "IPv6": asking(resolver6, server6)} {
		pairs[name] = [][]byte{udpFrame(tb, f, questionWire(tb, 1)), udpFrame(tb, f.back(), answerWire(tb, 1))}
	}
	return pairs
}

func BenchmarkUDP(b *testing.B) {
	for name, pair := range ordinary(b) {
		b.Run(name, func(b *testing.B) {
			d := New(testConfig)
			var sink discard
			b.ReportAllocs()
			for b.Loop() {
				for _, p := range pair {
					d.Frame(ethernet, &Captured{Data: p, Length: len(p), Time: at}, &sink)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(2*b.N), "ns/packet")
			if sink.taken != 2*b.N {
				b.Fatalf("%d messages, want %d", sink.taken, 2*b.N)
			}
		})
	}
}

func TestOrdinaryPacketsDoNotAlloc(t *testing.T) {
	for name, pair := range ordinary(t) {
		d := New(testConfig)
		var sink discard
		if n := testing.AllocsPerRun(100, func() {
			for _, p := range pair {
				d.Frame(ethernet, &Captured{Data: p, Length: len(p), Time: at}, &sink)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations for a query and its response", name, n)
		}
	}
}
