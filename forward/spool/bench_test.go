package spool

import (
	"runtime"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/forwardtest"
)

// fullBatches returns as many batches as a sender takes at once.
func fullBatches(tb testing.TB) (bs []*forward.Batch, octets int) {
	for range 8 {
		b := forwardtest.Batch(tb, 1000, 300, forward.BatchSize)
		bs = append(bs, b)
		octets += len(b.Buf)
	}
	return bs, octets
}

// heap is the largest heap that was seen.
type heap struct{ most uint64 }

func (h *heap) look() {
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	h.most = max(h.most, s.HeapInuse)
}

// BenchmarkWrite spools at full speed, with a peer that is away. 1 GB are 2,000 iterations.
func BenchmarkWrite(b *testing.B) {
	s := newSink(b, b.TempDir(), newPeer())
	s.config.MaxBytes = 256 << 20
	s.clock = bootClock()
	s.peer.set(fails)
	s.open()
	bs, octets := fullBatches(b)
	b.SetBytes(int64(octets))
	b.ReportAllocs()
	var h heap
	h.look()
	b.ResetTimer()
	for i := range b.N {
		if _, err := s.send(1, bs...); err != nil {
			b.Fatal(err)
		}
		if i%100 == 0 {
			h.look()
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(h.most)/(1<<20), "heap-MiB")
	s.close()
}

// BenchmarkDrain reads a spool of 64 MiB, and writes the index for each acknowledgement.
func BenchmarkDrain(b *testing.B) {
	bs, octets := fullBatches(b)
	b.SetBytes(64 << 20)
	b.ReportAllocs()
	var h heap
	for range b.N {
		b.StopTimer()
		s := newSink(b, b.TempDir(), newPeer())
		c := forwardtest.Sink("sie", forward.Target{}, s.config)
		t, err := newTransport(s.config, &c, s.env())
		if err != nil {
			b.Fatal(err)
		}
		if err := t.openStore(b.Context()); err != nil {
			b.Fatal(err)
		}
		for n := 0; n < 64<<20; n += octets {
			if err := t.spool(bs, 0); err != nil {
				b.Fatal(err)
			}
		}
		t.account.begin()
		s.ledger.spooled = t.account.counted
		b.StartTimer()
		for {
			l, _, err := t.nextLoad()
			if err != nil {
				b.Fatal(err)
			}
			if l == nil {
				break
			}
			var r forward.Result
			for _, batch := range l {
				r.Deliver(batch, 0, len(batch.Buf))
			}
			t.acknowledge(&r)
			h.look()
		}
		b.StopTimer()
		if s.ledger.spooled != 0 {
			b.Fatalf("%+v", s.ledger)
		}
		t.store.close()
		t.lock.Close()
	}
	b.ReportMetric(float64(h.most)/(1<<20), "heap-MiB")
}
