package transform

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
	"pgregory.net/rapid"
)

// A trial draws messages, and gives them to two lanes and to the model.
type trial struct {
	*rapid.T
	budget  *Budget
	policy  *Policy
	model   *model
	lanes   []*lane
	packets []bool
	last    [2]func() // repeats the last message of each lane
	now     time.Duration
}

func newTrial(t *rapid.T) *trial {
	maxQueries := rapid.SampledFrom([]int{0, 1, 3, 10, 100, 1000}).Draw(t, "max")
	wanted := rapid.Bool().Draw(t, "unanswered")
	tr := &trial{
		T:      t,
		budget: NewBudget(maxQueries),
		policy: testPolicy(t, func(c *Config) { c.Unanswered = wanted; c.PairingTimeout = 20 * time.Second }),
		model:  &model{max: maxQueries, each: math.MaxInt, timeout: 20 * second, wanted: wanted},
	}
	for i := range 2 {
		l := newLane(t, tr.policy)
		l.Pairer = NewPairer(tr.budget)
		tr.model.lanes = append(tr.model.lanes, &modelLane{
			answered: map[uint64][]modelAnswer{},
			cell: func(m *Message, id uint16, q dns.Question) uint64 {
				return l.memory.keyOf(m, id, q.Qtype, q.Qclass, mustPackName(q.Name)) % memoryCells
			},
		})
		tr.lanes = append(tr.lanes, l)
		tr.packets = append(tr.packets, rapid.Bool().Draw(t, fmt.Sprintf("lane %d is packets", i)))
	}
	return tr
}

var (
	modelServers = []string{"203.0.113.10", "::ffff:203.0.113.10", "2001:db8:113::10", "10.0.0.53"}
	modelNames   = []string{"a.example.", "A.example.", "b.example.", strings.Repeat("long.", 20) + "example."}
	modelPorts   = []uint16{40000, 40001}
)

// draw makes a query or a response for one lane.
func (tr *trial) draw(i int, d *sketch) *sketch {
	server := netip.MustParseAddr(rapid.SampledFrom(modelServers).Draw(tr.T, "server"))
	d.Server = netip.AddrPortFrom(server, 53)
	d.Resolver = netip.AddrPortFrom(someResolver.Addr(), rapid.SampledFrom(modelPorts).Draw(tr.T, "port"))
	d.dns.Id = rapid.Uint16Range(1, 2).Draw(tr.T, "id")
	d.dns.Question[0].Name = rapid.SampledFrom(modelNames).Draw(tr.T, "name")
	d.dns.Question[0].Qtype = rapid.SampledFrom([]uint16{dns.TypeA, dns.TypeMX}).Draw(tr.T, "type")
	d.dns.RecursionDesired = rapid.IntRange(0, 9).Draw(tr.T, "rd") == 0
	d.dns.Answer = nil
	d.with(tr.when)
	if tr.packets[i] {
		d.with(asPacket)
	}
	return d
}

// when sets the time of a message: now, or far away.
func (tr *trial) when(d *sketch) {
	d.with(at(tr.now))
	if rapid.IntRange(0, 30).Draw(tr.T, "outlier") == 0 {
		d.with(outOfTime(Time(rapid.Int64Range(0, 2*int64(epoch)).Draw(tr.T, "time"))))
	}
}

func (tr *trial) query(i int) { tr.takeQuery(i, tr.draw(i, aQuery())) }

// again repeats the last message of a lane.
func (tr *trial) again(i int) {
	if tr.last[i] != nil {
		tr.last[i]()
	}
}

// sameKey sends one server more queries with one ID than maxSameKey.
func (tr *trial) sameKey(i int) {
	first := tr.draw(i, aQuery())
	for n := range rapid.IntRange(maxSameKey-4, maxSameKey+8).Draw(tr.T, "queries") {
		d := tr.draw(i, aQuery())
		d.Server, d.dns.Id = first.Server, first.dns.Id
		d.dns.Question[0].Name = fmt.Sprintf("n%d.example.", n) // a packet with the same would be a duplicate
		tr.takeQuery(i, d)
	}
}

func (tr *trial) takeQuery(i int, d *sketch) {
	tr.last[i] = func() { tr.takeQuery(i, d.with(tr.when)) }
	want := tr.model.takeQuery(tr.model.lanes[i], d)
	if got := tr.lanes[i].take(d); got != want {
		tr.Fatalf("query: got %v, want %v", got, want)
	}
}

func (tr *trial) response(i int) {
	d := tr.draw(i, aResponse())
	broken := false
	switch rapid.IntRange(0, 9).Draw(tr.T, "kind") {
	case 0:
		d.with(withTC)
	case 1:
		d.with(withoutQuestion)
	case 2:
		broken = true
		d.wire = func(b []byte) []byte { b[7] = 1; return b } // the answer is missing
	}
	tr.takeResponse(i, d, broken)
}

func (tr *trial) takeResponse(i int, d *sketch, broken bool) {
	tr.last[i] = func() { tr.takeResponse(i, d.with(tr.when), broken) }
	want := tr.model.takeResponse(tr.model.lanes[i], d, broken)
	if got := tr.lanes[i].take(d); got != want {
		tr.Fatalf("response: got %v, want %v", got, want)
	}
}

// earlyExchange sends a response, which may have a rival, before its query.
func (tr *trial) earlyExchange(i int) {
	query := tr.draw(i, aQuery())
	response := aResponse()
	response.Server, response.Resolver, response.dns.Id, response.dns.Question = query.Server, query.Resolver, query.dns.Id, query.dns.Question
	response.dns.Answer = nil
	response.with(tr.when)
	if tr.packets[i] {
		response.with(asPacket)
	}
	tr.takeResponse(i, response, false)
	if rapid.IntRange(0, 3).Draw(tr.T, "another response") == 0 {
		tr.takeResponse(i, response.answer("a.example. 300 IN A 198.51.100.8"), false)
	}
	tr.takeQuery(i, query)
	if rapid.IntRange(0, 3).Draw(tr.T, "time passes") > 0 {
		tr.now += 2 * time.Second
		tr.query(i)
	}
}

// check compares the lanes with the model. The lane itself checks after every message that
// Read is the sum.
func (tr *trial) check() {
	if got, want := tr.budget.Held(), int64(tr.model.held()); got != want {
		tr.Fatalf("budget: %d held, want %d", got, want)
	}
	for i, l := range tr.lanes {
		want := tr.model.lanes[i].counts
		queries := tr.model.heldBy(tr.model.lanes[i])
		early := tr.model.lanes[i].early
		want.Held = uint64(len(queries) + len(early))
		want.Scrubbed = l.Counts().Scrubbed // the lane compares it with the drops
		if d := cmp.Diff(want, l.Counts()); d != "" {
			tr.Fatalf("lane %d counts (-want +got):\n%s", i, d)
		}
		if holds, _ := l.BudgetUse(); holds != tr.model.costOf(tr.model.lanes[i]) {
			tr.Fatalf("lane %d holds %d of the budget, want %d", i, holds, tr.model.costOf(tr.model.lanes[i]))
		}
		if uint64(len(l.records)) != want.Records {
			tr.Fatalf("lane %d emitted %d records, counts %d", i, len(l.records), want.Records)
		}
		at := l.pending.oldest
		for _, q := range queries {
			if got := l.pending.at(at); got.id != q.dns.Id || got.sent != q.m.QueryTime || got.at != q.at {
				tr.Fatalf("lane %d holds %d of %d at %d, want %d of %d at %d",
					i, got.id, got.sent, got.at, q.dns.Id, q.m.QueryTime, q.at)
			}
			at = l.pending.link(at).newer
		}
		at = l.early.oldest
		for _, e := range early {
			if got := l.early.at(at); got.id != e.dns.Id || got.sent != e.m.ResponseTime || got.at != e.at || l.early.bodies[at].contested != e.contested {
				tr.Fatalf("lane %d holds an early response %d of %d at %d, want %d of %d at %d, contested %v",
					i, got.id, got.sent, got.at, e.dns.Id, e.m.ResponseTime, e.at, e.contested)
			}
			at = l.early.link(at).newer
		}
		if got := l.early.used; got != tr.model.lanes[i].earlyCost() {
			tr.Fatalf("lane %d: early responses take %d of the budget, want %d", i, got, tr.model.lanes[i].earlyCost())
		}
	}
}

// TestPairingIsAsTheModel runs two lanes over one budget against the model.
func TestPairingIsAsTheModel(t *testing.T) {
	crowded, copies, early := 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		tr := newTrial(t)
		lane := rapid.IntRange(0, 1)
		t.Repeat(map[string]func(*rapid.T){
			"query":    func(t *rapid.T) { tr.query(lane.Draw(t, "lane")) },
			"response": func(t *rapid.T) { tr.response(lane.Draw(t, "lane")) },
			"exchange": func(t *rapid.T) {
				i := lane.Draw(t, "lane")
				tr.query(i)
				tr.response(i)
			},
			"copy": func(t *rapid.T) { tr.again(lane.Draw(t, "lane")) },
			"copied exchange": func(t *rapid.T) {
				i := lane.Draw(t, "lane")
				tr.query(i)
				queryAgain := tr.last[i]
				tr.response(i)
				queryAgain()
			},
			"early exchange":        func(t *rapid.T) { tr.earlyExchange(lane.Draw(t, "lane")) },
			"early packet exchange": func(t *rapid.T) { tr.earlyExchange(max(0, slices.Index(tr.packets, true))) },
			"burst": func(t *rapid.T) {
				i := lane.Draw(t, "lane")
				for range rapid.IntRange(15, 40).Draw(t, "queries") {
					tr.query(i)
				}
			},
			"sameKey":     func(t *rapid.T) { tr.sameKey(lane.Draw(t, "lane")) },
			"time passes": func(t *rapid.T) { tr.now += time.Duration(rapid.Int64Range(-600e6, 15e9).Draw(t, "step")) },
			"time jumps":  func(t *rapid.T) { tr.now += time.Duration(rapid.Int64Range(-300e9, 300e9).Draw(t, "step")) },
			"budget": func(t *rapid.T) {
				tr.model.max = rapid.IntRange(0, 200).Draw(t, "max")
				tr.budget.SetMax(tr.model.max)
			},
			"ration": func(t *rapid.T) {
				tr.model.each = rapid.IntRange(0, 50).Draw(t, "each")
				tr.budget.Ration(tr.model.each)
			},
			"relax": func(t *rapid.T) {
				tr.model.each = math.MaxInt
				tr.budget.Relax()
			},
			"shrink": func(t *rapid.T) {
				i, n := lane.Draw(t, "lane"), rapid.IntRange(0, 50).Draw(t, "to")
				tr.model.shrink(tr.model.lanes[i], n)
				tr.lanes[i].Shrink(n)
			},
			"": func(*rapid.T) { tr.check() },
		})
		for i, l := range tr.lanes {
			l.Finish()
			tr.model.finish(tr.model.lanes[i])
		}
		tr.check()
		if held := tr.budget.Held(); held != 0 {
			t.Fatalf("%d of the budget held at the end", held)
		}
		crowded += tr.model.crowded
		copies += tr.model.copies
		early += tr.model.early
	})
	if early == 0 {
		t.Error("no query found a response that arrived before it")
	}
	if copies == 0 {
		t.Error("no packet came again after the answer")
	}
	if crowded == 0 {
		t.Error("no query went for others to the same server with the same ID")
	}
}
