package forward

import (
	"testing"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// benchLane returns a lane with sinks, and a function that empties their queues.
func benchLane(tb testing.TB, configs ...SinkConfig) (l *Lane, drain func()) {
	r := newRig(tb, Live, configs...)
	l = r.Lane("source")
	var takers []*taker
	for _, s := range r.sinks {
		takers = append(takers, &taker{queue: s.queue})
	}
	return l, func() {
		for _, t := range takers {
			for len(t.pop()) > 0 {
			}
		}
	}
}

// everyType returns a sink for each message type.
func everyType() []SinkConfig {
	var all []SinkConfig
	for _, typ := range nmsg.MessageTypes() {
		c := testSink(typ.String())
		c.Format, c.MTU = NMSG{Message: typ}, 1280<<typ
		all = append(all, c)
	}
	return all
}

func TestNoAllocationFromRecordToBatch(t *testing.T) {
	configs := everyType()
	for i := range configs {
		configs[i].Format = NMSG{Message: configs[i].Format.(NMSG).Message, Resolution: time.Minute}
		configs[i].Filter = Filter{Names: []string{"lane0"}, ExceptNames: []string{"lane1"}, Types: []uint16{1}, RCodes: []uint16{0}}
	}
	l, drain := benchLane(t, configs...)
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
			drain() // before the queue has more batches than its free list keeps
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

func BenchmarkRecord(b *testing.B) {
	for name, configs := range map[string][]SinkConfig{
		"one sink":  {testSink("a")},
		"one form":  {testSink("a"), testSink("b")},
		"each type": everyType(),
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
	batch := sealedBatch(b, q, 0, 100, 200)
	var framer Framer = &containers{}
	var s sender
	b.ReportAllocs()
	for b.Loop() {
		q.push(batch, framer)
		q.pop(&s)
		q.count(&s, &Result{Delivered: 100})
		batch, s.batches = s.batches[0], s.batches[:0]
	}
}
