package forward

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A step of the property test.
type step struct {
	kind  string
	lane  int
	sink  int
	n     int
	size  int
	after time.Duration
	fault int
}

// An ending is how a run of the property test ends.
type ending struct {
	breaks bool // a sink fails permanently, which ends the Forwarder
	open   bool // lanes are closed after the end of the Forwarder
}

var faultKinds = []fault{failsOnce, failsInside, losesEverySecond, stallsFor(2 * time.Second), stallsFor(time.Hour)}

var filterKinds = []Filter{{}, {Names: []string{"lane0"}}, {ExceptNames: []string{"lane1", "example"}}, {Types: []uint16{28}}, {RCodes: []uint16{0}}}

func drawStep(t *rapid.T) step {
	return step{
		kind: rapid.SampledFrom([]string{
			"records", "records", "records", "unanswered", "messages", "sleep", "fault", "fault",
			"change", "filter", "reformat", "settle", "guest", "remove", "close",
			"inlet", "inlet", "waits",
		}).Draw(t, "kind"),
		lane:  rapid.IntRange(0, 2).Draw(t, "lane"),
		sink:  rapid.IntRange(0, 1).Draw(t, "sink"),
		n:     rapid.IntRange(1, 60).Draw(t, "n"),
		size:  rapid.SampledFrom([]int{0, 100, 1500, 9000, 65000, 70000}).Draw(t, "size"),
		after: rapid.SampledFrom([]time.Duration{time.Millisecond, time.Second, 20 * time.Second}).Draw(t, "after"),
		fault: rapid.IntRange(0, len(faultKinds)-1).Draw(t, "fault"),
	}
}

// TestLedgerHoldsUnderRandomFaults checks the ledger after each of many random steps, and
// the delivered records at the end. Every kind of loss must have occurred.
func TestLedgerHoldsUnderRandomFaults(t *testing.T) {
	var lost [numLosses]uint64
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.Custom(drawStep), 1, 25).Draw(rt, "steps")
		zlib := rapid.Bool().Draw(rt, "zlib")
		other := rapid.SampledFrom(nmsg.MessageTypes()).Draw(rt, "the other's message type")
		state := rapid.SampledFrom([]tentative{{}, {true, Written}, {true, Spooled}}).Draw(rt, "the other's records are tentative at first")
		end := ending{breaks: rapid.Bool().Draw(rt, "breaks"), open: rapid.Bool().Draw(rt, "open")}
		failed := false
		synctest.Test(t, func(t *testing.T) {
			p := newScenario(t, zlib, other, state)
			for _, s := range steps {
				p.act(s)
				p.check(fmt.Sprintf("after %+v", s))
			}
			p.conclude(end)
			for _, s := range p.Ledger().Sinks {
				for i, n := range s.Lost {
					lost[i] += n
				}
			}
			failed = t.Failed()
		})
		if failed {
			rt.Fatal("see above")
		}
	})
	for _, l := range Losses() {
		if lost[l] == 0 {
			t.Errorf("nothing was lost as %s: the test proves less than it states", l)
		}
	}
}

// A scenario is a Forwarder on which a test performs steps.
type scenario struct {
	*testing.T
	*rig
	stop    func() error
	configs []SinkConfig // of the two permanent sinks; the sink "guest" is temporary
	lanes   [3]*Lane
	inlet   *Inlet // nil: it is closed
	read    uint64 // messages given to lanes and the inlet
	made    uint64 // records given to lanes without messages

	unoffered uint64 // RRsets given to the inlet

	settling    sync.WaitGroup
	settledLost uint64 // tentative records that were settled as lost

	tentative tentative // records of sink "1"
	found     uint64    // records that the first spool of sink "1" contained
}

// spooledBefore is the number of records that an earlier run left in a spool.
const spooledBefore = 100

func newScenario(t *testing.T, zlib bool, other nmsg.MessageType, state tentative) *scenario {
	a, b := testSink("0"), testSink("1")
	a.Queue, b.Queue = 1<<17, 1<<20
	a.Zlib = zlib
	b.Format, b.MTU = NMSG{Message: other}, 1<<20
	p := &scenario{T: t, configs: []SinkConfig{a, b}, tentative: state}
	p.rig = newRig(t, Live)
	p.setUp = p.setUpFake
	p.apply(p.configs)
	p.stop = p.run()
	return p
}

// setUpFake makes the records of sink "1" tentative. A spool begins with the records that the
// earlier transports left.
func (p *scenario) setUpFake(name string, f *fake) {
	if name != "1" {
		return
	}
	f.tentative = p.tentative
	if p.tentative != (tentative{true, Spooled}) {
		return
	}
	earlier := slices.Clone(p.fakes[name])
	f.resumes = func() (found uint64) {
		if len(earlier) == 0 {
			p.found = spooledBefore
			found = spooledBefore
		}
		for _, e := range earlier {
			e.mu.Lock()
			found += e.held
			e.held = 0
			e.mu.Unlock()
		}
		return found
	}
}

func (p *scenario) act(s step) {
	if p.lanes[s.lane] == nil {
		p.lanes[s.lane] = p.Lane(fmt.Sprint("source ", s.lane%2))
	}
	switch lane := p.lanes[s.lane]; s.kind {
	case "records":
		p.records(lane, s)
	case "unanswered":
		lane.Begin()
		for range s.n {
			r := testRecord(s.lane, int(p.made), 0)
			r.HasResponse, r.Response = false, nil
			lane.record(r)
			p.made++
		}
		lane.End()
	case "messages":
		p.messages(lane, s.n)
	case "sleep":
		time.Sleep(s.after)
	case "fault":
		p.fake(fmt.Sprint(s.sink)).fail(faultKinds[s.fault])
		p.records(lane, s) // so that the fault occurs
		time.Sleep(s.after)
	case "change":
		p.configs[s.sink].Flush++
		p.apply(p.configs)
	case "filter":
		p.configs[s.sink].Filter = filterKinds[s.n%len(filterKinds)]
		p.apply(p.configs)
	case "reformat":
		c := &p.configs[s.sink]
		if s.n%2 == 0 {
			c.Format = NMSG{Message: []nmsg.MessageType{nmsg.DNSQR, nmsg.DNSTap}[s.n/2%2]}
		} else {
			c.MTU = 700 + 100*s.n
		}
		p.apply(p.configs)
	case "settle":
		if all := p.fakes["1"]; p.tentative.is {
			p.settle(all[s.n%len(all)], uint64(s.n), s.size > 1000)
		}
	case "remove":
		p.apply(p.configs[:s.sink])
		time.Sleep(s.after)
		p.apply(p.configs)
	case "guest":
		p.apply(append(slices.Clone(p.configs), testSink("guest")))
		p.records(lane, s)
		p.apply(p.configs)
	case "inlet":
		p.receive(s)
	case "waits":
		c := &p.configs[s.sink]
		c.Waits = !c.Waits
		p.apply(p.configs)
	case "close":
		lane.Close()
		p.lanes[s.lane] = nil
		p.closeInlet()
	}
}

// receive gives the inlet, whose source also has lanes, records, an RRset, which no sink takes, and
// a payload that it drops.
func (p *scenario) receive(s step) {
	if p.inlet == nil {
		p.inlet = p.Inlet("source 0")
	}
	ctx, cancel := context.WithTimeout(p.Context(), s.after)
	defer cancel()
	for range s.n {
		p.inlet.Record(ctx, testRecord(len(p.lanes), int(p.read), s.size), nmsg.IDs{})
		p.read++
	}
	p.inlet.RRset(ctx, testRRset("\x01a\x00"), nmsg.IDs{})
	p.unoffered++
	p.inlet.Drop(transform.Malformed)
	p.read += 2
}

func (p *scenario) closeInlet() {
	if p.inlet != nil {
		p.inlet.Close()
		p.inlet.Close() // a second Close has no effect
		p.inlet = nil
	}
}

func (p *scenario) records(lane *Lane, s step) {
	burst(lane, s.lane, int(p.made), s.n, s.size)
	p.made += uint64(s.n)
}

// settle settles some tentative records of a transport, in another goroutine. The sink has counted
// them: its goroutine waits.
func (p *scenario) settle(f *fake, most uint64, lost bool) {
	synctest.Wait()
	f.mu.Lock()
	n := min(most, f.held)
	f.held -= n
	f.mu.Unlock()
	outcome := Outcome{}
	if lost {
		outcome = Outcome{Lost: true, Why: []Loss{SpoolFull, SpoolExpired, SpoolDamaged}[most%3]}
		p.settledLost += n
	}
	p.settling.Go(func() { f.env.Settle(p.tentative.state, n, outcome) })
}

func (p *scenario) apply(configs []SinkConfig) {
	if err := p.Apply(p.policy, configs); err != nil {
		p.Error(err)
	}
}

// messages gives a lane queries, most with their responses, and drops a frame.
func (p *scenario) messages(lane *Lane, n int) {
	lane.Begin()
	defer lane.End()
	for range n {
		response := answer(p.T, fmt.Sprintf("m%d.example.", p.read), time.Now())
		query := *response
		query.Role, query.ResponseTime = transform.ResolverQuery, transform.NoTime
		query.Wire = slices.Clone(response.Wire)
		query.Wire[2] &^= 0x80 // QR
		switch p.read % 5 {
		case 0:
			lane.Drop(transform.Malformed)
			p.read++
		case 1:
			lane.Take(&query)
			p.read++
		default:
			lane.Take(&query)
			lane.Take(response)
			p.read += 2
		}
	}
}

func (p *scenario) check(when string) {
	l := p.Ledger()
	if err := checkLedger(&l); err != nil {
		p.Errorf("%s: %v", when, err)
	}
	if l.Total.Read != p.read {
		p.Errorf("%s: %d messages were given, %d read", when, p.read, l.Total.Read)
	}
}

// conclude stops the Forwarder, and compares the delivered records with the final ledger.
func (p *scenario) conclude(e ending) {
	if e.breaks {
		p.fake("0").fail(breaks)
		p.act(step{kind: "records", n: 50, size: 1500})
		time.Sleep(time.Hour)
		p.check("broken")
		p.act(step{kind: "records", n: 50, size: 1500}) // after the end
	}
	if !e.open {
		p.closeLanes()
	}
	if err := p.stop(); err != nil && !errors.Is(err, errFake) && !strings.Contains(err.Error(), "lost at the stop") {
		p.Error(err)
	}
	p.closeLanes()
	p.check("in the end")
	if p.tentative.is {
		for most := range uint64(4) { // for every kind of loss
			p.settle(p.fake("1"), most, true)
		}
		p.settling.Wait()
		held, ledger := uint64(0), p.ledgerOf("1")
		for _, f := range p.fakes["1"] {
			held += f.held
			p.settle(f, f.held, false)
		}
		p.settling.Wait()
		after := p.ledgerOf("1")
		if ledger.Written+ledger.Spooled != held || after.Delivered != ledger.Delivered+held || after.Written+after.Spooled != 0 || after.Resumed != p.found {
			p.Errorf("transports held %d tentative records, then and now the ledger says %+v, %+v", held, ledger, after)
		}
	}
	var offered [2]uint64
	for i := range offered {
		settledLost := uint64(i) * p.settledLost
		offered[i] = account(p.T, p.rig, fmt.Sprint(i), settledLost).Offered
	}
	if p.fakes["guest"] != nil {
		account(p.T, p.rig, "guest", 0)
	}
	all := p.made + p.Ledger().Total.Records - p.unoffered // none was made while a sink was removed
	if offered != [2]uint64{all, all} {
		p.Errorf("of %d records the sinks were offered %v", all, offered)
	}
}

func (p *scenario) closeLanes() {
	p.closeInlet()
	for i, l := range p.lanes {
		if l != nil {
			l.Close()
			p.lanes[i] = nil
		}
	}
}
