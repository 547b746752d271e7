package spool

import (
	"context"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
)

const (
	// patience is how long Send waits for acknowledgements before it spools, because records
	// in memory do not survive a crash, and how long it waits for room on the disk.
	patience = 5 * time.Second

	// retryTime is how long Send waits after an error of the disk.
	retryTime = time.Second
)

// Send has the units sent from memory, or appends them to the spool. The error is that of the
// disk, when the peer does not take them either: they wait in memory, so that the sink calls
// again with the same units, and newer ones wait in its queue.
func (t *transport) Send(ctx context.Context, bs []*forward.Batch, from int) (forward.Result, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.account.begin()
	w := newWaiting(t.env)
	defer w.limit.Stop()
	for {
		done, err := t.try(bs, from, w.urgent)
		if done || w.over {
			return t.result(done), err
		}
		t.mu.Unlock()
		w.wait(ctx, t.progress, err != nil)
		t.mu.Lock()
	}
}

// try does what is possible now, and reports whether Send is done.
func (t *transport) try(bs []*forward.Batch, from int, urgent bool) (done bool, err error) {
	l := &t.load
	patient := !urgent && t.peer == nil
	switch {
	case l.phase == direct && l.done():
		t.full = false
		return true, nil
	case l.phase == direct && patient:
		return false, nil
	case l.phase == direct:
		rest, unit := l.rest()
		if err := t.spool(rest, unit); err != nil {
			return false, err
		}
		if l.sending {
			l.phase = stored
			t.store.pin()
		} else {
			l.clear() // it is read again, unless a limit drops it
		}
		return true, nil
	case t.store.empty() && patient:
		t.offer(bs, from)
		return false, nil
	}
	if err = t.spool(bs, from); err != nil && t.store.empty() {
		t.offer(bs, from)
	}
	return err == nil, err
}

// offer gives a copy of the units to the shipper. The store is empty.
func (t *transport) offer(bs []*forward.Batch, from int) {
	t.load.clear()
	t.load.phase = direct
	t.load.copy(bs, from, t.store.takeCarry())
	signal(t.wake)
}

// spool appends units to the store.
func (t *transport) spool(bs []*forward.Batch, from int) error {
	v, err := t.store.append(bs, from)
	if t.full = err != nil; err == nil {
		t.load.result.Units += int(v.Units)
		t.load.result.Spooled += int(v.Units)
		t.load.result.Tentative[forward.Spooled] += v.Records
		t.account.returned += v.Records
		signal(t.wake)
	}
	t.publish()
	return err
}

// result returns what Send has achieved, and ends the load if Send is done with it.
func (t *transport) result(done bool) forward.Result {
	r := t.load.result
	t.load.result = forward.Result{}
	if done && t.load.phase == direct {
		t.load.clear()
	}
	if r.Tentative[forward.Spooled] > 0 {
		r.Trouble = t.peer
	}
	t.publish()
	return r
}

// waiting is what a Send waits for.
type waiting struct {
	halfFull, stop <-chan struct{}
	limit          *time.Timer
	urgent         bool // the units must not wait for an acknowledgement
	over           bool // Send must return
}

func newWaiting(env forward.Env) *waiting {
	w := &waiting{halfFull: env.HalfFull, stop: env.Stop, limit: time.NewTimer(patience)}
	select {
	case <-w.halfFull:
		w.urgent = true
	case <-w.stop:
		w.urgent, w.stop = true, nil
	default:
	}
	return w
}

// wait waits until try may do more.
func (w *waiting) wait(ctx context.Context, progress <-chan struct{}, retries bool) {
	var retry <-chan time.Time
	if retries {
		t := time.NewTimer(retryTime)
		defer t.Stop()
		retry = t.C
	}
	select {
	case <-progress:
	case <-retry:
	case <-w.halfFull:
		w.urgent = true
	case <-w.stop:
		w.urgent, w.stop = true, nil
	case <-w.limit.C:
		w.urgent, w.over = true, true
	case <-ctx.Done():
		w.urgent, w.over = true, true
	}
}
