package aggregate

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/forwardtest"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// policy returns a policy that forbids these local names and addresses of the resolver.
func policy(t *testing.T, localNames []string, resolvers ...netip.Prefix) *transform.Policy {
	t.Helper()
	p, err := transform.NewPolicy(transform.Config{
		PairingTimeout: time.Minute, TimeResolution: time.Second, Rcodes: []uint8{0}, LocalNames: localNames, Resolvers: resolvers,
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// reload applies a policy, and leaves the sinks as they are.
func (s *sensor) reload(t *testing.T, c Config, p *transform.Policy) {
	t.Helper()
	if err := s.Apply(p, sinks(c, fed("out", s.out)), nil); err != nil {
		t.Fatal(err)
	}
}

// expect fails the test unless these RRsets were delivered, each with one sighting, and the others were
// withheld.
func (s *sensor) expect(t *testing.T, withheld transform.ReasonCounts, names ...string) {
	t.Helper()
	want := map[string]uint32{}
	for _, name := range names {
		want[name] = 1
	}
	if diff := cmp.Diff(want, s.counts(t)); diff != "" {
		t.Errorf("delivered (-want +got):\n%s", diff)
	}
	r := ledgerOf(t, s.Forwarder, "aggregate").RRsets
	if r.Withheld != withheld || r.Emitted != uint64(len(names)) || r.Lost != 0 || r.Entries != 0 {
		t.Errorf("the account: %+v", r)
	}
	if l := ledgerOf(t, s.Forwarder, "out"); l.Offered != uint64(len(names)) || l.Filtered.Sum() != 0 {
		t.Errorf("the sink: %+v", l)
	}
}

func TestAReloadHoldsBackWhatIsInTheWindow(t *testing.T) {
	byName := policy(t, []string{"intranet.example"})
	byAddress := policy(t, nil, netip.MustParsePrefix("192.0.2.1/32")) // all names have it
	for _, c := range []struct {
		name     string
		policy   *transform.Policy
		stop     bool // the sensor stops before the windows end
		withheld transform.ReasonCounts
		left     []string
	}{
		{"a local name, until the end of the window", byName, false,
			transform.ReasonCounts{transform.LocalName: 2}, []string{"www.example."}},
		{"a local name, until the stop", byName, true,
			transform.ReasonCounts{transform.LocalName: 2}, []string{"www.example."}},
		{"an address of the resolver", byAddress, false,
			transform.ReasonCounts{transform.ResolverAddress: 3}, nil},
		{"nothing", policy(t, nil), false,
			transform.ReasonCounts{}, []string{"intranet.example.", "mail.intranet.example.", "www.example."}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSensor(t, testConfig())
				for _, name := range []string{"intranet.example.", "www.example.", "mail.intranet.example."} {
					s.see(t, name)
				}
				s.reload(t, testConfig(), c.policy)
				if !c.stop {
					s.awaitWindow()
					s.expect(t, c.withheld, c.left...)
				}
				s.stop(t)
				s.expect(t, c.withheld, c.left...)
			})
		})
	}
}

// awaitWindow waits until the windows of all RRsets have ended.
func (s *sensor) awaitWindow() { time.Sleep(testConfig().Window + time.Second) }

// TestARestartHoldsBackWhatTheStateFileContains restarts a sensor with another configuration. One RRset of
// the state has no room, and is emitted when the state is loaded.
func TestARestartHoldsBackWhatTheStateFileContains(t *testing.T) {
	c := withState(t)
	synctest.Test(t, func(t *testing.T) {
		first := newSensor(t, c)
		for _, name := range []string{"a.intranet.example.", "www.example.", "b.intranet.example."} {
			first.see(t, name)
		}
		first.stop(t)
		c.MaxEntries = 2
		second := &sensor{out: new(output)}
		second.Forwarder = forwardtest.New(t, forward.Live, &second.log, sinks(c, fed("out", second.out))...)
		second.reload(t, c, policy(t, []string{"intranet.example"}))
		second.end, second.lane = start(second.Forwarder), second.Lane("source")
		time.Sleep(time.Second)
		if r := ledgerOf(t, second.Forwarder, "aggregate").RRsets; r.Withheld[transform.LocalName] != 1 || r.Entries != 2 {
			t.Errorf("after the start: %+v", r)
		}
		second.awaitWindow()
		second.expect(t, transform.ReasonCounts{transform.LocalName: 2}, "www.example.")
		second.stop(t)
	})
}

func TestInsertionsLeaveOnceAndAreWithheldLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testConfig()
		c.Insertions = true
		s := newSensor(t, c)
		s.see(t, "intranet.example.")
		s.reload(t, c, policy(t, []string{"intranet.example"}))
		s.awaitWindow()
		if all := s.out.aggregates(t); len(all) != 1 {
			t.Errorf("delivered %+v, want the insertion", all)
		}
		if r := ledgerOf(t, s.Forwarder, "aggregate").RRsets; r.Emitted != 1 || r.Withheld[transform.LocalName] != 1 {
			t.Errorf("the account: %+v", r)
		}
		s.stop(t)
	})
}

// TestTheFilterOfASinkIsAppliedToWhatIsNotWithheld: the names that policy.except_names of a sink holds
// back are counted there, as without a reload.
func TestTheFilterOfASinkIsAppliedToWhatIsNotWithheld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSensor(t, testConfig())
		for _, name := range []string{"intranet.example.", "www.example.", "partner.example."} {
			s.see(t, name)
		}
		out := fed("out", s.out)
		out.Filter.ExceptNames = []string{"partner.example", "intranet.example"}
		if err := s.Apply(policy(t, []string{"intranet.example"}), sinks(testConfig(), out), nil); err != nil {
			t.Fatal(err)
		}
		s.awaitWindow()
		if diff := cmp.Diff(map[string]uint32{"www.example.": 1}, s.counts(t)); diff != "" {
			t.Errorf("delivered (-want +got):\n%s", diff)
		}
		if l := ledgerOf(t, s.Forwarder, "out"); l.Offered != 2 || l.Filtered[forward.ByExceptNames] != 1 {
			t.Errorf("the sink: %+v", l)
		}
		if r := ledgerOf(t, s.Forwarder, "aggregate").RRsets; r.Withheld[transform.LocalName] != 1 || r.Emitted != 2 {
			t.Errorf("the account: %+v", r)
		}
		s.stop(t)
	})
}

// TestAChangedAggregateKeepsItsCounts replaces the transport after it has withheld an RRset.
func TestAChangedAggregateKeepsItsCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testConfig()
		s := newSensor(t, c)
		forbidding := policy(t, []string{"intranet.example"})
		for range 2 {
			s.see(t, "intranet.example.")
			c.MaxEntries++ // the transport that is replaced emits its window
			s.reload(t, c, forbidding)
			time.Sleep(time.Second)
			s.reload(t, c, policy(t, nil))
		}
		s.awaitWindow()
		s.expect(t, transform.ReasonCounts{transform.LocalName: 2})
		s.stop(t)
	})
}
