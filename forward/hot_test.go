package forward

import (
	"context"
	"testing"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// benchLane is a lane with sinks whose batches drain takes away.
func benchLane(tb testing.TB, configs ...SinkConfig) (l *Lane, drain func()) {
	r := newRig(tb, Live, configs...)
	l = r.Lane("source")
	hands := make([][]*batch, len(r.sinks))
	return l, func() {
		for i, s := range r.sinks {
			for hands[i] = s.queue.pop(hands[i]); len(hands[i]) > 0; {
				hands[i] = s.queue.pop(hands[i])
			}
		}
	}
}

// everyForm is a sink for each message type.
func everyForm() []SinkConfig {
	var all []SinkConfig
	for _, typ := range nmsg.MessageTypes() {
		c := testSink(typ.String())
		c.Message, c.MTU = typ, 1280<<typ
		all = append(all, c)
	}
	return all
}

func TestNoAllocationFromRecordToBatch(t *testing.T) {
	l, drain := benchLane(t, everyForm()...)
	r := testRecord(0, 0, 300)
	work := func() {
		for range 10 {
			for range 10 {
				l.Begin()
				for range 10 {
					l.record(r)
				}
				l.End()
			}
			drain() // before more batches wait than a queue keeps blanks
		}
	}
	work()
	if n := testing.AllocsPerRun(20, work); n != 0 {
		t.Errorf("%v allocations for 1000 records", n)
	}
}

func TestNoAllocationFromMessageToBatch(t *testing.T) {
	l, drain := benchLane(t, testSink("a"))
	m := answer(t, "www.example.com.", time.Unix(1_700_000_000, 0))
	work := func() {
		l.Begin()
		for range 1000 {
			if l.Take(m) != transform.Kept {
				t.Fatal("the message was dropped")
			}
		}
		l.End()
		drain()
	}
	work()
	if n := testing.AllocsPerRun(20, work); n != 0 {
		t.Errorf("%v allocations for 1000 messages", n)
	}
}

func TestNoAllocationFromBatchToSocket(t *testing.T) {
	p := listenUDP(t, "127.0.0.1:0")
	u, b := sendable(t, p, 1280)
	defer u.Close(context.Background())
	work := func() {
		if o, err := u.Send(context.Background(), b, 0); err != nil || o.done != len(b.containers) {
			t.Fatalf("%+v, %v", o, err)
		}
	}
	work()
	if n := testing.AllocsPerRun(20, work); n > poolSlack {
		t.Errorf("%v allocations for a batch", n)
	}
}

// sendable is a full batch and a transport to p.
func sendable(tb testing.TB, p *peer, mtu int) (*udp, *batch) {
	c := p.sink()
	c.MTU = mtu
	r := newRig(tb, Live, c)
	l := r.Lane("source")
	burst(l, 0, 0, 1000, 100)
	return newUDP(&c), r.sinks[0].queue.pop(nil)[0]
}

func BenchmarkRecord(b *testing.B) {
	for name, configs := range map[string][]SinkConfig{
		"one sink":  {testSink("a")},
		"one form":  {testSink("a"), testSink("b")},
		"each form": everyForm(),
	} {
		b.Run(name, func(b *testing.B) {
			l, drain := benchLane(b, configs...)
			r := testRecord(0, 0, 150)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				l.Begin()
				l.record(r)
				l.End()
				if i%1000 == 0 {
					drain()
				}
			}
		})
	}
}

func BenchmarkQueue(b *testing.B) {
	q := newQueue(Live, 1<<20)
	hand := []*batch{sealedBatch(b, q, 0, 100, 200)}
	b.ReportAllocs()
	for b.Loop() {
		q.push(hand[0])
		hand = q.pop(hand[:0])
		q.settle(&outcome{delivered: 100})
	}
}

func BenchmarkUDP(b *testing.B) {
	for name, mtu := range map[string]int{"mtu 1280": 1280, "mtu 8192": 8192} {
		b.Run(name, func(b *testing.B) {
			p := listenUDP(b, "127.0.0.1:0") // and never read: what is too much is dropped by the kernel
			u, full := sendable(b, p, mtu)
			defer u.Close(context.Background())
			b.ReportAllocs()
			b.SetBytes(int64(len(full.buf)))
			n := 0
			for b.Loop() {
				o, err := u.Send(context.Background(), full, 0)
				if err != nil {
					b.Fatal(err)
				}
				n += int(o.sent.Datagrams)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/datagram")
		})
	}
}
