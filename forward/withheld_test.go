package forward

import (
	"context"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// localLabel forbids the names below a top-level domain.
func localLabel(label string) func(*transform.Config) {
	return func(c *transform.Config) { c.LocalNames = []string{label} }
}

// reloads applies policies, and emits an RRset after each.
type reloads struct {
	*rig
	stage *stage
}

// expect applies a policy, emits an RRset, and checks why it is withheld and how many the sink "out" was
// offered.
func (r *reloads) expect(t *testing.T, sinks []SinkConfig, want transform.Reason, offered uint64, edits ...func(*transform.Config)) {
	t.Helper()
	if err := r.Apply(testPolicy(t, edits...), sinks); err != nil {
		t.Fatal(err)
	}
	if got := r.stage.emit(t.Context(), testRRset(string(wireName("www", "lan"))), 0); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if l := r.ledgerOf("out"); l.Offered != offered || l.Filtered.Sum() != 0 {
		t.Errorf("after %v: %+v", want, l)
	}
	l := r.Ledger()
	if err := checkLedger(&l); err != nil {
		t.Error(err)
	}
}

func TestRRsetsAreJudgedByThePolicyInForce(t *testing.T) {
	in, out := aggregateSink("a", new(emitted)), rrsetSink("out", "a")
	changed := in
	changed.Flush++
	for name, sinks := range map[string][]SinkConfig{"the same aggregate": {in, out}, "a changed aggregate": {changed, out}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := reloads{rig: newRig(t, Live, in, out)}
				r.stage = r.sinks[0].stage
				stop := r.run()
				r.expect(t, sinks, transform.Kept, 1)
				r.expect(t, sinks, transform.LocalName, 1, localLabel("lan"))
				r.expect(t, sinks, transform.ResolverAddress, 1, func(c *transform.Config) {
					c.Resolvers = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
				})
				r.expect(t, sinks, transform.SpecialName, 1, func(c *transform.Config) { c.SpecialNames = true })
				r.expect(t, sinks, transform.Kept, 2)
				if err := stop(); err != nil {
					t.Error(err)
				}
				if l := r.ledgerOf("out"); l.Delivered != 2 {
					t.Errorf("at the end: %+v", l)
				}
			})
		})
	}
}

// TestWhatARemovedAggregateEmitsIsJudgedByTheNewPolicy removes an aggregate that does not return.
func TestWhatARemovedAggregateEmitsIsJudgedByTheNewPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		in, out := aggregateSink("a", new(emitted)), rrsetSink("out", "a")
		in.Transport = echoes{new(emitted), release}
		r := reloads{rig: newRig(t, Live, in, out)}
		r.stage = r.sinks[0].stage
		stop := r.run()
		lane := r.Lane("source")
		burst(lane, 0, 0, 1, 0)
		time.Sleep(time.Second)
		sinks := []SinkConfig{aggregateSink("b", new(emitted)), rrsetSink("out", "b")}
		r.expect(t, sinks, transform.LocalName, 1, localLabel("lan"))
		r.expect(t, sinks, transform.Kept, 2)
		r.expect(t, sinks, transform.LocalName, 2, localLabel("lan"))
		close(release)
		lane.Close()
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// seeResolver makes a lane learn an address of the resolver, from a message that becomes no record.
func seeResolver(t *testing.T, l *Lane, address string) {
	t.Helper()
	m := answer(t, "refused.example.", moment(0))
	m.Wire[3] |= 5 // REFUSED
	m.Resolver = netip.AddrPortFrom(netip.MustParseAddr(address), 4000)
	if got := take(l, m); got != transform.Rcode {
		t.Fatalf("got %v", got)
	}
}

func TestRRsetsAreJudgedByLearnedAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var e emitted
		in, out := aggregateSink("a", &e), rrsetSink("out", "a")
		in.Flush = time.Millisecond
		r := newRig(t, Live, in, out)
		stop := r.run()
		lane := r.Lane("source")
		see := func() {
			burst(lane, 0, len(e.all()), 1, 0) // its RRset has the address 192.0.2.1
			time.Sleep(2 * shareTime)
		}
		see()
		see() // this one is emitted at the end
		seeResolver(t, lane, "192.0.2.99")
		time.Sleep(2 * shareTime)
		see()
		if n := len(e.all()); n != 2 {
			t.Fatalf("%d RRsets were emitted, want 2", n)
		}
		seeResolver(t, lane, "192.0.2.1")
		lane.Close()
		if err := stop(); err != nil { // before lanes share it
			t.Error(err)
		}
		if diff := cmp.Diff(e.all(), r.deliveredTo(t, "out")); diff != "" || len(e.all()) != 2 {
			t.Errorf("%d RRsets were emitted; -emitted +delivered:\n%s", len(e.all()), diff)
		}

		again := newRig(t, Live, in, out)
		stop = again.run()
		lane = again.Lane("source")
		seeResolver(t, lane, "192.0.2.1")
		time.Sleep(2 * shareTime)
		if got := again.sinks[0].stage.emit(t.Context(), testRRset(string(wireName("www", "example"))), 0); got != transform.ResolverAddress {
			t.Errorf("when lanes have shared the address: %v", got)
		}
		if err := again.Apply(again.policy, []SinkConfig{aggregateSink("new", &e), rrsetSink("out", "new")}); err != nil {
			t.Fatal(err)
		}
		if got := again.sinks[0].stage.emit(t.Context(), testRRset(string(wireName("www", "example"))), 0); got != transform.ResolverAddress {
			t.Errorf("an aggregate that a reload has added: %v", got)
		}
		lane.Close()
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestNothingForbiddenIsEmittedAfterAReload emits RRsets while reloads forbid and allow them.
func TestNothingForbiddenIsEmittedAfterAReload(t *testing.T) {
	r := newRig(t, Live, aggregateSink("a", new(emitted)), rrsetSink("out", "a"))
	stop := r.run()
	stage, a := r.sinks[0].stage, testRRset(string(wireName("www", "lan")))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	var judged atomic.Uint64
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			stage.emit(ctx, a, 0)
			judged.Add(1)
		}
	}()
	all := []SinkConfig{aggregateSink("a", new(emitted)), rrsetSink("out", "a")}
	for range 50 {
		if err := r.Apply(testPolicy(t, localLabel("lan")), all); err != nil {
			t.Fatal(err)
		}
		before, from := r.ledgerOf("out").Offered, judged.Load()
		eventually(t, "RRsets are judged", func() bool { return judged.Load() > from+10 })
		if after := r.ledgerOf("out").Offered; after != before {
			t.Fatalf("%d RRsets were emitted after the reload", after-before)
		}
		if err := r.Apply(testPolicy(t), all); err != nil {
			t.Fatal(err)
		}
		eventually(t, "RRsets are emitted", func() bool { return r.ledgerOf("out").Offered > before })
	}
	cancel()
	<-done
	if err := stop(); err != nil {
		t.Error(err)
	}
	if l := r.ledgerOf("out"); l.Offered == 0 || l.Delivered != l.Offered {
		t.Errorf("at the end: %+v", l)
	}
}
