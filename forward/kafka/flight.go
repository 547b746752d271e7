package kafka

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
)

// A flight is the units of one Send.
type flight struct {
	transport *transport
	units     []unit
	left      atomic.Int64       // units without an outcome, and one until all are given to the client
	done      chan struct{}      // closed when left is 0
	latest    forward.AtomicTime // of the start or of the latest acknowledgement
}

// A unit is a container in a message, or one that is not sent.
type unit struct {
	record kgo.Record
	batch  *forward.Batch
	index  int
	lost   *loss // why it is not sent; nil: it is
	err    error // valid when done is closed; nil: it is acknowledged
}

// A loss is why a unit is not sent.
type loss struct {
	why   forward.Loss
	cause error
}

// produce gives units of bs, up to a limit in bytes, to the client. It borrows their octets until
// done is closed: the client reads them no more when it has reported the outcome.
func (t *transport) produce(bs []*forward.Batch, from int) *flight {
	f := &flight{transport: t, units: t.collect(bs, from), done: make(chan struct{})}
	f.latest.Store(time.Now())
	f.left.Store(1)
	for i := range f.units {
		if u := &f.units[i]; u.lost == nil {
			f.left.Add(1)
			t.buffered.Add(int64(len(u.record.Value)))
			t.client.TryProduce(context.Background(), &u.record, func(_ *kgo.Record, err error) { f.settle(u, err) })
		}
	}
	f.finish()
	return f
}

// collect returns the units that one Send sends.
func (t *transport) collect(bs []*forward.Batch, from int) []unit {
	var units []unit
	size := 0
	for _, b := range bs {
		for i := from; i < len(b.Units); i++ {
			if len(units) > 0 && size >= t.unconfirmed || len(units) == maxUnits {
				return units
			}
			u := unit{record: kgo.Record{Value: b.Bytes(i)}, batch: b, index: i}
			u.record.Key, u.lost = t.key(u.record.Value)
			size += len(u.record.Value)
			units = append(units, u)
		}
		from = 0
	}
	return units
}

// settle notes the outcome of a unit. The client calls it from one goroutine at a time.
func (f *flight) settle(u *unit, err error) {
	t := f.transport
	t.buffered.Add(-int64(len(u.record.Value)))
	if u.err = err; err == nil {
		now := time.Now()
		f.latest.Store(now)
		t.acknowledged.Store(now)
		t.trouble.clear()
	}
	f.finish()
}

func (f *flight) finish() {
	if f.left.Add(-1) == 0 {
		close(f.done)
	}
}

// progress returns when the flight began or a unit of it was last acknowledged.
func (f *flight) progress() time.Time { return f.latest.Load() }

// result counts the units before the first one that was not acknowledged, and returns the error of
// that one. done is closed.
func (f *flight) result() (r forward.Result, err error) {
	for i := range f.units {
		u := &f.units[i]
		switch {
		case u.lost != nil:
			r.Lose(u.batch, u.index, u.lost.why)
			r.LossCause = u.lost.cause
		case u.err != nil:
			return r, u.err
		default:
			r.Deliver(u.batch, u.index, len(u.record.Value))
		}
	}
	return r, nil
}
