package packet

import (
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A countingSink counts messages.
type countingSink struct{ taken, dropped int }

func (d *countingSink) Take(*transform.Message) transform.Reason { d.taken++; return transform.Kept }
func (d *countingSink) Drop(transform.Reason)                    { d.dropped++ }

// queriesAndResponses returns a query and its response over each IP version.
func queriesAndResponses(tb testing.TB) map[string][][]byte {
	pairs := map[string][][]byte{}
	for name, f := range map[string]flow{"IPv4": queryFlow(resolver4, server4), "IPv6": queryFlow(resolver6, server6)} {
		pairs[name] = [][]byte{udpFrame(tb, f, questionWire(tb, 1)), udpFrame(tb, f.back(), answerWire(tb, 1))}
	}
	return pairs
}

func BenchmarkUDP(b *testing.B) {
	for name, pair := range queriesAndResponses(b) {
		b.Run(name, func(b *testing.B) {
			d := New(testConfig)
			var sink countingSink
			b.ReportAllocs()
			for b.Loop() {
				for _, p := range pair {
					d.Frame(ethernet, &CapturedPacket{Data: p, Length: len(p), Time: at}, &sink)
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
	for name, pair := range queriesAndResponses(t) {
		d := New(testConfig)
		var sink countingSink
		if n := testing.AllocsPerRun(100, func() {
			for _, p := range pair {
				d.Frame(ethernet, &CapturedPacket{Data: p, Length: len(p), Time: at}, &sink)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations for a query and its response", name, n)
		}
	}
}
