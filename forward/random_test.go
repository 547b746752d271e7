package forward

import (
	"errors"
	"fmt"
	"slices"
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

func drawStep(t *rapid.T) step {
	return step{
		kind: rapid.SampledFrom([]string{
			"records", "records", "records", "unanswered", "messages", "sleep", "fault", "fault",
			"change", "reformat", "settle", "guest", "remove", "close",
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
		tentative := rapid.Bool().Draw(rt, "the other's records are tentative at first")
		end := ending{breaks: rapid.Bool().Draw(rt, "breaks"), open: rapid.Bool().Draw(rt, "open")}
		failed := false
		synctest.Test(t, func(t *testing.T) {
			p := newPlay(t, zlib, other, tentative)
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

// A play is one run of steps.
type play struct {
	*testing.T
	*rig
	stop    func() error
	configs []SinkConfig // of the two permanent sinks; the guest is the third
	lanes   [3]*Lane
	read    uint64 // messages given to lanes
	made    uint64 // records given to lanes without messages

	settling sync.WaitGroup
	ruined   uint64 // tentative records that were settled as lost
}

func newPlay(t *testing.T, zlib bool, other nmsg.MessageType, tentative bool) *play {
	a, b := testSink("0"), testSink("1")
	a.Queue, b.Queue = 1<<17, 1<<20
	a.Zlib = zlib
	b.Format, b.MTU = NMSG{other}, 1<<20
	p := &play{T: t, configs: []SinkConfig{a, b}}
	p.rig = newRig(t, Live)
	if tentative {
		p.tentative = "1"
	}
	p.apply(p.configs)
	p.stop = p.run()
	return p
}

func (p *play) act(s step) {
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
		p.configs[s.sink].IDs.Source++
		p.apply(p.configs)
	case "reformat":
		c := &p.configs[s.sink]
		if s.n%2 == 0 {
			c.Format = NMSG{[]nmsg.MessageType{nmsg.DNSQR, nmsg.DNSTap}[s.n/2%2]}
		} else {
			c.MTU = 700 + 100*s.n
		}
		p.apply(p.configs)
	case "settle":
		if all := p.fakes["1"]; p.tentative != "" {
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
	case "close":
		lane.Close()
		p.lanes[s.lane] = nil
	}
}

func (p *play) records(lane *Lane, s step) {
	burst(lane, s.lane, int(p.made), s.n, s.size)
	p.made += uint64(s.n)
}

// settle settles some tentative records of a transport, in another goroutine.
func (p *play) settle(f *fake, most uint64, lost bool) {
	f.mu.Lock()
	n := min(most, f.held)
	f.held -= n
	f.mu.Unlock()
	fate := Fate{}
	if lost {
		fate = Fate{Lost: true, Why: Refused}
		p.ruined += n
	}
	p.settling.Go(func() { f.env.Settle(Written, n, fate) })
}

func (p *play) apply(configs []SinkConfig) {
	if err := p.Apply(p.policy, configs); err != nil {
		p.Error(err)
	}
}

// messages gives a lane queries, most with their responses, and drops a frame.
func (p *play) messages(lane *Lane, n int) {
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

func (p *play) check(when string) {
	l := p.Ledger()
	if err := checkLedger(&l); err != nil {
		p.Errorf("%s: %v", when, err)
	}
	if l.Total.Read != p.read {
		p.Errorf("%s: %d messages were given, %d read", when, p.read, l.Total.Read)
	}
}

// conclude stops the Forwarder, and compares the delivered records with the final ledger.
func (p *play) conclude(e ending) {
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
	if err := p.stop(); err != nil && !errors.Is(err, errFake) {
		p.Error(err)
	}
	p.closeLanes()
	p.check("in the end")
	p.settling.Wait()
	if p.tentative != "" {
		held, ledger := uint64(0), p.ledgerOf("1")
		for _, f := range p.fakes["1"] {
			held += f.held
			p.settle(f, f.held, false)
		}
		p.settling.Wait()
		if after := p.ledgerOf("1"); ledger.Written != held || after.Delivered != ledger.Delivered+held || after.Written != 0 {
			p.Errorf("transports held %d tentative records, then and now the ledger says %+v, %+v", held, ledger, after)
		}
	}
	var offered [2]uint64
	for i := range offered {
		ruined := uint64(i) * p.ruined
		offered[i] = account(p.T, p.rig, fmt.Sprint(i), ruined).Offered
	}
	if p.fakes["guest"] != nil {
		account(p.T, p.rig, "guest", 0)
	}
	all := p.made + p.Ledger().Total.Records // none was made while a sink was removed
	if offered != [2]uint64{all, all} {
		p.Errorf("of %d records the sinks were offered %v", all, offered)
	}
}

func (p *play) closeLanes() {
	for i, l := range p.lanes {
		if l != nil {
			l.Close()
			p.lanes[i] = nil
		}
	}
}
