package transform

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire/wiretest"
)

// An outage is a time in which the sensor gets nothing from the resolver's dnstap,
// which it delivers afterwards; packets are captured from idle after its beginning
// until its end.
type outage struct{ from, on, to time.Duration }

// A moment of a crossing: what happens then.
type moment struct {
	at time.Duration
	do func()
}

// A crossing is one resolver's traffic, seen by dnstap and by packets in turn.
type crossing struct {
	*rapid.T
	policy   *Policy
	moments  []moment
	dnstap   *Pairer
	packets  *Pairer // nil: no capture
	log      *KeyLog
	handover *Handover
	backlog  []*Message // what dnstap cannot deliver
	silent   bool
	left     map[string]int // records by name
	packet   int            // how many of them are from packets
}

const (
	crossingIdle    = 5 * time.Second
	crossingTimeout = 20 * time.Second
	latest          = 1900 * time.Millisecond // by which packets are late
	longest         = 10 * time.Second        // latency
)

func (x *crossing) at(when time.Duration, do func()) { x.moments = append(x.moments, moment{when, do}) }

func (x *crossing) emit(r *Record) { x.left[string(r.Name)]++ }

// tell is dnstap's message: taken now, or later.
func (x *crossing) tell(m *Message) {
	if x.silent {
		x.backlog = append(x.backlog, m)
		return
	}
	x.dnstap.Take(m, x.policy, x.emit)
}

// show is a packet, which is seen while there is a capture.
func (x *crossing) show(m *Message) {
	if x.packets != nil {
		x.packets.Take(m, x.policy, func(r *Record) {
			x.packet++
			x.emit(r)
		})
	}
}

// ask adds a transaction: its dnstap, and its packets somewhat late.
func (x *crossing) ask(n int, when time.Duration) {
	latency := time.Duration(rapid.OneOf(rapid.Int64Range(0, 3e8), rapid.Int64Range(0, int64(longest))).Draw(x.T, "latency"))
	late := time.Duration(rapid.Int64Range(0, int64(latest)).Draw(x.T, "late"))
	answered := rapid.IntRange(0, 9).Draw(x.T, "answered") > 0
	who := func(d *sketch) { d.with(asked(fmt.Sprintf("n%d.example.", n)), withID(uint16(n%7))) }
	x.at(when, func() { x.tell(aQuery(who, during(when, 0)).message()) })
	packet := func(d *sketch, after time.Duration) {
		d.Packet = true
		d.Resolver = someResolver
		x.at(when+after+late, func() { x.show(d.message()) })
	}
	packet(aQuery(who, during(when+late, 0)), 0)
	if !answered {
		return
	}
	knows := rapid.Bool().Draw(x.T, "response tells the query's time")
	reply := aResponse(who, during(when, when+latency), func(d *sketch) {
		if !knows {
			d.QueryTime = NoTime
		}
	})
	x.at(when+latency, func() { x.tell(reply.message()) })
	packet(aResponse(who, during(0, when+latency+late), func(d *sketch) { d.QueryTime = NoTime }), latency)
}

// beat keeps the lanes' clocks going with what is no record.
func (x *crossing) beat(when time.Duration) {
	x.at(when, func() {
		x.tell(aQuery(withRD, during(when, 0)).message())
		x.show(aQuery(withRD, during(when, 0), func(d *sketch) { d.Packet = true }).message())
	})
}

func (x *crossing) suffer(o outage) {
	x.at(o.from, func() { x.silent = true })
	x.at(o.on, func() {
		x.packets, x.log = NewPairer(NewBudget(1e6)), NewKeyLog(epoch+Time(o.on))
		x.packets.Log(x.log)
	})
	x.at(o.to, func() {
		x.packets.Finish()
		x.packets = nil
		x.handover = x.handover.With(Span{On: epoch + Time(o.on), Off: epoch + Time(o.to)}, x.log)
		x.dnstap.HandOver(x.handover)
		x.silent = false
		for _, m := range x.backlog {
			x.tell(m)
		}
		x.backlog = nil
	})
}

// TestEachTransactionLeavesExactlyOnce, whichever of dnstap and packets saw it, and
// whether it was answered or not.
func TestEachTransactionLeavesExactlyOnce(t *testing.T) {
	byPackets := 0
	rapid.Check(t, func(t *rapid.T) {
		x := &crossing{
			T: t, dnstap: NewPairer(NewBudget(1e6)), left: map[string]int{},
			policy: testPolicy(t, func(c *Config) { c.PairingTimeout, c.Unanswered = crossingTimeout, true }),
		}
		end := time.Duration(0)
		for range rapid.IntRange(1, 3).Draw(t, "outages") {
			from := end + time.Duration(rapid.Int64Range(1e9, 20e9).Draw(t, "until the outage"))
			on := from + crossingIdle
			end = on + time.Duration(rapid.OneOf(rapid.Int64Range(0, 5e9), rapid.Int64Range(0, 50e9)).Draw(t, "capture"))
			x.suffer(outage{from, on, end})
		}
		n := 0
		for when := time.Duration(0); when < end+10*time.Second; n++ {
			x.ask(n, when)
			when += time.Duration(rapid.Int64Range(0, 800e6).Draw(t, "pause"))
		}
		for when := time.Duration(0); when < end+60*time.Second; when += 50 * time.Millisecond {
			x.beat(when)
		}
		slices.SortStableFunc(x.moments, func(a, b moment) int { return cmp.Compare(a.at, b.at) })
		for _, m := range x.moments {
			m.do()
		}
		for i := range n {
			if got := x.left[string(wiretest.Name(fmt.Sprintf("n%d.example", i)))]; got != 1 {
				t.Fatalf("transaction %d left %d times", i, got)
			}
		}
		if c := x.dnstap.Counts(); c.Read != c.Sum() {
			t.Fatalf("read %d, accounted for %d", c.Read, c.Sum())
		}
		byPackets += x.packet
	})
	if byPackets == 0 {
		t.Error("packets recorded nothing: the test shows nothing")
	}
}
