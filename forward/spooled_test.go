package forward

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// spoolsAt is a Send that waits for a peer that does not answer, and spools the batch when signal
// does.
func spoolsAt(signal func(Env) <-chan struct{}) fault {
	return func(ctx context.Context, t *fake, b *Batch, from int) (Result, error) {
		select {
		case <-signal(t.env):
			r := t.take(b, from, len(b.Units))
			r.Trouble = errFake
			return r, nil
		case <-ctx.Done():
			return Result{}, ctx.Err()
		}
	}
}

func halfFull(e Env) <-chan struct{} { return e.HalfFull }
func stopped(e Env) <-chan struct{}  { return e.Stop }

func TestASendLearnsThatTheQueueIsHalfFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Live)
		r.setUp = func(_ string, f *fake) {
			f.tentative, f.paced = tentative{true, Spooled}, time.Hour
			for range 20 {
				f.fail(spoolsAt(halfFull))
			}
		}
		c := testSink("a")
		c.Queue = 1 << 20
		r.mustApply(t, c)
		defer r.run()()
		l := r.Lane("source")
		defer l.Close()
		fill := func(bytes int) {
			for range bytes / 30000 {
				burst(l, 0, int(r.only(t).Offered), 1, 15000) // twice that, with the packets
			}
			time.Sleep(time.Minute)
		}
		fill(300 << 10)
		if s := r.only(t); s.Spooled != 0 || s.Error != "" {
			t.Errorf("less than half: %+v", s)
		}
		fill(1000 << 10)
		s := r.only(t)
		if s.Spooled == 0 || s.Queued == 0 || s.QueueBytes >= c.Queue/2 || s.Lost != (LossCounts{}) {
			t.Errorf("more than half: %+v", s)
		}
		if s.Error != errFake.Error() {
			t.Errorf("the sink's error is %q", s.Error)
		}
	})
}

// TestTheRestOfTheQueueIsSentAfterStop: with a Send in progress, and with time left for Close.
func TestTheRestOfTheQueueIsSentAfterStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Live)
		var f *fake
		r.setUp = func(_ string, made *fake) {
			f = made
			f.tentative, f.paced = tentative{true, Spooled}, time.Hour
			for range 100 {
				f.fail(spoolsAt(stopped))
			}
		}
		c := testSink("a")
		r.mustApply(t, c)
		stop := r.run()
		l := r.Lane("source")
		for n := range 300 {
			burst(l, 0, n, 1, 15000)
		}
		time.Sleep(time.Minute)
		if s := r.only(t); s.Queued != 300 || s.FailingSince != (time.Time{}) {
			t.Errorf("before the stop: %+v", s)
		}
		l.Close()
		began := time.Now()
		if err := stop(); err != nil {
			t.Error(err)
		}
		if s := r.only(t); s.Spooled != 300 || time.Since(began) >= stopTime {
			t.Errorf("after %v: %+v", time.Since(began), s)
		}
		if !f.closed || f.closedLate {
			t.Errorf("closed %v, late %v", f.closed, f.closedLate)
		}
	})
}

// TestRecordsInASpoolAreResumedOnce: a reload does not count again those that the earlier
// transport left.
func TestRecordsInASpoolAreResumedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Live)
		found := uint64(5)
		r.setUp = func(_ string, f *fake) {
			n := found
			f.tentative, f.resumes = tentative{true, Spooled}, func() uint64 { return n }
		}
		c := testSink("a")
		r.mustApply(t, c)
		stop := r.run()
		l := r.Lane("source")
		burst(l, 0, 0, 10, 300)
		time.Sleep(time.Second)
		if s := r.only(t); s.Resumed != 5 || s.Spooled != 15 || s.Offered != 10 {
			t.Errorf("at the start: %+v", s)
		}
		r.fake("a").env.Settle(Spooled, 3, Outcome{})
		found = 12 + 4 // 4 records of another folder
		c.Queue++
		r.mustApply(t, c)
		time.Sleep(time.Second)
		if s := r.only(t); s.Resumed != 9 || s.Spooled != 16 || s.Delivered != 3 || s.Offered+s.Resumed != s.Sum() {
			t.Errorf("after a reload: %+v", s)
		}
		r.fake("a").env.Settle(Spooled, 16, Outcome{Lost: true, Why: SpoolDamaged})
		l.Close()
		if err := stop(); err != nil {
			t.Error(err)
		}
		if s := r.only(t); s.Spooled != 0 || s.Lost[SpoolDamaged] != 16 || s.Offered+s.Resumed != s.Sum() {
			t.Errorf("in the end: %+v", s)
		}
	})
}

// A peered transport has an acknowledging peer, a spool and a certificate.
type peered struct{ fake }

var peeredAt = time.Unix(1_700_000_000, 0)

func (*peered) Acknowledged() time.Time { return peeredAt }
func (*peered) Expires() time.Time      { return peeredAt.Add(time.Hour) }
func (*peered) Spool() SpoolState       { return SpoolState{Bytes: 7} }

// TestTheLogStatesWhereRecordsWait: in the spool while only the peer fails, and in the queue when
// the disk fails too.
func TestTheLogStatesWhereRecordsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &peered{}
		f.idles = []error{errFake, errFake, errFake}
		c := testSink("a")
		c.Transport = transportOf(func() Transport { return f })
		r := newRig(t, Live)
		log := r.logged()
		r.mustApply(t, c)
		stop := r.run()
		l := r.Lane("source")
		expect := func(inSpool, inQueue int) {
			t.Helper()
			text := log.String()
			if a, b := strings.Count(text, "wait in its spool"), strings.Count(text, "wait in its queue"); a != inSpool || b != inQueue {
				t.Errorf("%d and %d lines, want %d and %d:\n%s", a, b, inSpool, inQueue, text)
			}
		}
		time.Sleep(2500 * time.Millisecond)
		expect(1, 0)
		f.fail(failsOnce, failsOnce, failsOnce)
		burst(l, 0, 0, 10, 300)
		time.Sleep(time.Minute)
		expect(1, 1)
		if !strings.Contains(log.String(), "works again") {
			t.Errorf("no line for the end:\n%s", log)
		}
		l.Close()
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// transportOf makes the transport that it returns.
type transportOf func() Transport

func (f transportOf) New(*SinkConfig, Env) (Transport, error) { return f(), nil }

func TestTheLedgerShowsPeerCertificateAndSpool(t *testing.T) {
	c, plain := testSink("a"), testSink("b")
	c.Transport = transportOf(func() Transport { return &peered{} })
	r := newRig(t, Live, c, plain)
	if s := r.ledgerOf("a"); s.Peer == nil || !s.Peer.Last.Equal(peeredAt) || !s.Expires.Equal(peeredAt.Add(time.Hour)) || s.Spool == nil || s.Spool.Bytes != 7 {
		t.Errorf("%+v", s)
	}
	if s := r.ledgerOf("b"); s.Peer != nil || !s.Expires.IsZero() || s.Spool != nil {
		t.Errorf("%+v", s)
	}
	if err := r.run()(); err != nil {
		t.Error(err)
	}
}
