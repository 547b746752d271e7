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

// An outage is a time in which the sensor gets no dnstap messages from the resolver, which
// sends them later. Packets are captured from idle after its beginning until its end.
type outage struct{ from, on, to time.Duration }

// A moment is an action at a time.
type moment struct {
	at time.Duration
	do func()
}

// A traffic is the traffic of one resolver, which dnstap and packets show in turn.
type traffic struct {
	*rapid.T
	policy   *Policy
	moments  []moment
	dnstap   *Pairer
	packets  *Pairer // nil: no capture
	log      *KeyLog
	handover *Handover
	backlog  []*Message // dnstap messages during an outage
	outage   bool
	left     map[string]int // records by name
	packet   int            // how many of them are from packets
}

const (
	captureDelay = 5 * time.Second
	queryTimeout = 20 * time.Second
	latest       = 1900 * time.Millisecond // longest delay of packets
	longest      = 10 * time.Second        // latency
)

func (x *traffic) at(when time.Duration, do func()) { x.moments = append(x.moments, moment{when, do}) }

func (x *traffic) emit(r *Record) { x.left[string(r.Name)]++ }

// takeDnstap takes a dnstap message, now or after the outage.
func (x *traffic) takeDnstap(m *Message) {
	if x.outage {
		x.backlog = append(x.backlog, m)
		return
	}
	x.dnstap.Take(m, x.policy, x.emit)
}

// takePacket takes a packet if there is a capture.
func (x *traffic) takePacket(m *Message) {
	if x.packets != nil {
		x.packets.Take(m, x.policy, func(r *Record) {
			x.packet++
			x.emit(r)
		})
	}
}

// addTransaction adds a transaction: its dnstap messages, and its packets after a delay.
func (x *traffic) addTransaction(n int, when time.Duration) {
	latency := time.Duration(rapid.OneOf(rapid.Int64Range(0, 3e8), rapid.Int64Range(0, int64(longest))).Draw(x.T, "latency"))
	late := time.Duration(rapid.Int64Range(0, int64(latest)).Draw(x.T, "late"))
	answered := rapid.IntRange(0, 9).Draw(x.T, "answered") > 0
	who := func(d *sketch) { d.with(asked(fmt.Sprintf("n%d.example.", n)), withID(uint16(n%7))) }
	x.at(when, func() { x.takeDnstap(aQuery(who, during(when, 0)).message()) })
	packet := func(d *sketch, after time.Duration) {
		d.Packet = true
		d.Resolver = someResolver
		x.at(when+after+late, func() { x.takePacket(d.message()) })
	}
	packet(aQuery(who, during(when+late, 0)), 0)
	if !answered {
		return
	}
	knows := rapid.Bool().Draw(x.T, "response states the query's time")
	reply := aResponse(who, during(when, when+latency), func(d *sketch) {
		if !knows {
			d.QueryTime = NoTime
		}
	})
	x.at(when+latency, func() { x.takeDnstap(reply.message()) })
	packet(aResponse(who, during(0, when+latency+late), func(d *sketch) { d.QueryTime = NoTime }), latency)
}

// moveClocks moves the clocks of the lanes with messages that do not become records.
func (x *traffic) moveClocks(when time.Duration) {
	x.at(when, func() {
		x.takeDnstap(aQuery(withRD, during(when, 0)).message())
		x.takePacket(aQuery(withRD, during(when, 0), func(d *sketch) { d.Packet = true }).message())
	})
}

func (x *traffic) addOutage(o outage) {
	x.at(o.from, func() { x.outage = true })
	x.at(o.on, func() {
		x.packets, x.log = NewPairer(NewBudget(1e6)), NewKeyLog(epoch+Time(o.on))
		x.packets.KeepKeys(x.log)
	})
	x.at(o.to, func() {
		x.packets.Finish(x.policy, func(r *Record) {
			x.packet++
			x.emit(r)
		})
		x.packets = nil
		x.handover = x.handover.With(Span{On: epoch + Time(o.on), Off: epoch + Time(o.to)}, x.log)
		x.dnstap.HandOver(x.handover)
		x.outage = false
		for _, m := range x.backlog {
			x.takeDnstap(m)
		}
		x.backlog = nil
	})
}

// TestEachTransactionBecomesOneRecord has transactions with and without a response, which
// dnstap, packets or both show.
func TestEachTransactionBecomesOneRecord(t *testing.T) {
	byPackets := 0
	rapid.Check(t, func(t *rapid.T) {
		x := &traffic{
			T: t, dnstap: NewPairer(NewBudget(1e6)), left: map[string]int{},
			policy: testPolicy(t, func(c *Config) { c.PairingTimeout, c.Unanswered = queryTimeout, true }),
		}
		end := time.Duration(0)
		for range rapid.IntRange(1, 3).Draw(t, "outages") {
			from := end + time.Duration(rapid.Int64Range(1e9, 20e9).Draw(t, "until the outage"))
			on := from + captureDelay
			end = on + time.Duration(rapid.OneOf(rapid.Int64Range(0, 5e9), rapid.Int64Range(0, 50e9)).Draw(t, "capture"))
			x.addOutage(outage{from, on, end})
		}
		n := 0
		for when := time.Duration(0); when < end+10*time.Second; n++ {
			x.addTransaction(n, when)
			when += time.Duration(rapid.Int64Range(0, 800e6).Draw(t, "pause"))
		}
		for when := time.Duration(0); when < end+60*time.Second; when += 50 * time.Millisecond {
			x.moveClocks(when)
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
