package forward

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

// promised runs a test with a promise whose vault of "raw" has that custody.
func promised(t *testing.T, raw custody, test func(t *testing.T, p *promise)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := newPromise(t, raw, delivers)
		test(t, p)
		p.lane.Close()
		p.in.Close()
		if err := p.stop(); err != nil {
			t.Error(err)
		}
	})
}

// mishaps makes the next calls of the present transport of "raw" go wrong.
func (p *promise) mishaps(sends, confirms, closes []mishap) {
	v := p.vaults["raw"]
	v.mu.Lock()
	defer v.mu.Unlock()
	v.sends, v.confirms, v.closes = sends, confirms, closes
}

// confirmIn confirms within a time, and returns how long it took.
func (p *promise) confirmIn(limit time.Duration) (took time.Duration, err error) {
	began := time.Now()
	err = p.confirm(limit, func() {})
	return time.Since(began), err
}

// TestAConfirmDoesNotWaitForWhatEntersLater from another input, so that the queue is never empty.
func TestAConfirmDoesNotWaitForWhatEntersLater(t *testing.T) {
	promised(t, writes, func(t *testing.T, p *promise) {
		var slow []mishap
		for range 200 {
			slow = append(slow, mishap{takes: 100 * time.Millisecond})
		}
		p.mishaps(slow, nil, nil)
		ctx, cancel := context.WithCancel(t.Context())
		flooded := make(chan struct{})
		go func() {
			defer close(flooded)
			for n := 0; ctx.Err() == nil; n++ {
				burst(p.lane, 1, n, 1, 60000)
				time.Sleep(100 * time.Millisecond)
			}
		}()
		time.Sleep(time.Second)
		p.pass(1, 100)
		took, err := p.confirmIn(time.Hour)
		cancel()
		<-flooded
		if err != nil || took > 5*time.Second {
			t.Errorf("after %v: %v", took, err)
		}
	})
}

// TestAConfirmThatFailsIsTriedAgain, with the waits of a Send.
func TestAConfirmThatFailsIsTriedAgain(t *testing.T) {
	promised(t, writes, func(t *testing.T, p *promise) {
		p.pass(1, 100)
		p.mishaps(nil, []mishap{{fails: true}, {fails: true}}, nil)
		if took, err := p.confirmIn(time.Hour); err != nil || took != firstWait+2*firstWait {
			t.Errorf("after %v: %v", took, err)
		}
		p.pass(1, 100)
		p.mishaps(nil, []mishap{{fails: true}, {fails: true}, {fails: true}}, nil)
		_, err := p.confirmIn(2 * time.Second)
		if want := `sink "raw": context deadline exceeded; the sink fails: fake failure`; err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		if took, err := p.confirmIn(time.Hour); err != nil {
			t.Errorf("after %v: %v", took, err)
		}
	})
}

// TestAConfirmThatFailsDoesNotDelayAReload: then Close of the transport makes the records final.
func TestAConfirmThatFailsDoesNotDelayAReload(t *testing.T) {
	for name, kind := range map[string]string{"another format": "reformat", "without a sink": "remove", "the same format": "change"} {
		t.Run(name, func(t *testing.T) {
			promised(t, writes, func(t *testing.T, p *promise) {
				p.pass(1, 100)
				p.mishaps(nil, slices.Repeat([]mishap{{takes: time.Second, fails: true}}, 1000), nil)
				began := time.Now()
				err := p.confirm(time.Hour, func() {
					time.Sleep(10 * time.Second)
					p.perform(turn{sink: "raw"}, kind)
				})
				if took := time.Since(began); err != nil || took > 12*time.Second {
					t.Errorf("after %v: %v", took, err)
				}
			})
		})
	}
}

// TestDamageIsReportedOnce covers what was lost, and what may have been lost. The sink gets two
// records and an RRset each time.
func TestDamageIsReportedOnce(t *testing.T) {
	for name, c := range map[string]struct {
		raw                     custody
		sends, confirms, closes []mishap
		want                    string
	}{
		"by Send": {raw: delivers, sends: []mishap{{loses: true}}, want: `sink "raw" lost 2 records`},
		"by a transport that counted them as written": {raw: writes, confirms: []mishap{{loses: true}}, want: `sink "raw" lost 3 records`},
		"by a sync of a spool that failed":            {raw: spools, confirms: []mishap{{loses: true}}, want: `sink "raw" may have lost records: the log has the error`},
		"by a Close that failed":                      {raw: spools, closes: []mishap{{fails: true}}, want: `sink "raw" may have lost records: the log has the error`},
	} {
		t.Run(name, func(t *testing.T) {
			promised(t, c.raw, func(t *testing.T, p *promise) {
				p.mishaps(c.sends, c.confirms, c.closes)
				p.pass(2, 100)
				if c.closes != nil {
					time.Sleep(time.Second) // the records are spooled
					p.perform(turn{sink: "raw"}, "change")
					synctest.Wait()
				}
				if _, err := p.confirmIn(time.Hour); err == nil || err.Error() != c.want {
					t.Errorf("got %v, want %s", err, c.want)
				}
				p.pass(2, 100)
				if _, err := p.confirmIn(time.Hour); err != nil {
					t.Errorf("a second time: %v", err)
				}
			})
		})
	}
}

// TestWhatNoSinkCanTakeIsNoDamage: it would be the same when it is read again.
func TestWhatNoSinkCanTakeIsNoDamage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		filtered, limited := waitingSink("filtered"), waitingSink("limited")
		filtered.Filter.Types = []uint16{28}
		limited.Format = NMSG{Message: nmsg.DNSQR}
		r := newRig(t, Live, filtered, limited)
		stop := r.run()
		in := r.Inlet("topic")
		in.Record(t.Context(), testRecord(0, 0, 70000), nmsg.IDs{})
		if err := in.Confirm(t.Context()); err != nil {
			t.Error(err)
		}
		if f, l := r.ledgerOf("filtered"), r.ledgerOf("limited"); f.Filtered[ByTypes] != 1 || l.Lost[TooBig] != 1 {
			t.Errorf("%+v\n%+v", f, l)
		}
		in.Close()
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestEarlierDamageIsNotThatOfAnInlet that begins afterwards.
func TestEarlierDamageIsNotThatOfAnInlet(t *testing.T) {
	promised(t, delivers, func(t *testing.T, p *promise) {
		p.mishaps([]mishap{{loses: true}}, nil, nil)
		p.pass(2, 100)
		time.Sleep(time.Second)
		later := p.Inlet("later")
		defer later.Close()
		if err := later.Confirm(t.Context()); err != nil {
			t.Errorf("an inlet that began later: %v", err)
		}
		if err := p.in.Confirm(t.Context()); err == nil {
			t.Error("the inlet that passed the records: no error")
		}
	})
}

// TestAConfirmFailsWithoutItsSink: one that has failed permanently, and at the stop.
func TestAConfirmFailsWithoutItsSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Live, waitingSink("a"))
		stop := r.run()
		in := r.Inlet("topic")
		if err := in.Confirm(t.Context()); err != nil {
			t.Errorf("while it works: %v", err)
		}
		r.fake("a").fail(breaks)
		in.Record(t.Context(), testRecord(0, 0, 10), nmsg.IDs{})
		if err := in.Confirm(t.Context()); !errors.Is(err, errFake) && !errors.Is(err, errStopping) {
			t.Errorf("when it has failed: %v", err)
		}
		if err := stop(); !errors.Is(err, errFake) {
			t.Error(err)
		}
		if err := in.Confirm(t.Context()); err == nil || !strings.Contains(err.Error(), "the forwarder stops") {
			t.Errorf("after the stop: %v", err)
		}
		in.Close()
	})
}
