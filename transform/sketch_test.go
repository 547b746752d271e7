package transform

import (
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// epoch is the time of sketches, unless an edit changes it.
const epoch = Time(1_700_000_000_123_456_789)

const second = Time(time.Second)

var (
	someServer   = netip.MustParseAddrPort("203.0.113.10:53")
	someServer6  = netip.MustParseAddrPort("[2001:db8:113::10]:53")
	someResolver = netip.MustParseAddrPort("192.0.2.53:40000")
)

// A sketch is a message that a test builds.
type sketch struct {
	Message
	dns  dns.Msg
	wire func([]byte) []byte // edits the packed message; nil: no edit
}

// aQuery returns a query for www.shop.example A, like that of a resolver.
func aQuery(edits ...func(*sketch)) *sketch {
	d := &sketch{Message: Message{
		Role: ResolverQuery, Server: someServer, Resolver: someResolver,
		QueryTime: epoch, ResponseTime: NoTime, Zone: mustPackName("shop.example"),
	}}
	d.dns.Id = 0x1234
	d.dns.Question = []dns.Question{{Name: "www.shop.example.", Qtype: dns.TypeA, Qclass: dns.ClassINET}}
	return d.with(edits...)
}

// aResponse returns the response to aQuery.
func aResponse(edits ...func(*sketch)) *sketch {
	d := aQuery()
	d.Role = ResolverResponse
	d.ResponseTime = epoch + 20*Time(time.Millisecond)
	d.dns.Response, d.dns.Authoritative = true, true
	return d.answer("www.shop.example. 300 IN A 198.51.100.7").with(edits...)
}

func (d *sketch) with(edits ...func(*sketch)) *sketch {
	for _, edit := range edits {
		edit(d)
	}
	return d
}

func (d *sketch) answer(records ...string) *sketch {
	for _, r := range records {
		d.dns.Answer = append(d.dns.Answer, record(r))
	}
	return d
}

func record(text string) dns.RR {
	rr, err := dns.NewRR(text)
	if err != nil {
		panic(err)
	}
	return rr
}

func (d *sketch) message() *Message {
	m := d.Message
	if m.Wire == nil {
		b, err := d.dns.Pack()
		if err != nil {
			panic(err)
		}
		m.Wire = b
	}
	if d.wire != nil {
		m.Wire = d.wire(m.Wire)
	}
	return &m
}

// Edits.

func asked(name string) func(*sketch) {
	return func(d *sketch) { d.dns.Question[0].Name = name }
}

func ofType(t uint16) func(*sketch) {
	return func(d *sketch) { d.dns.Question[0].Qtype = t }
}

func withID(id uint16) func(*sketch) { return func(d *sketch) { d.dns.Id = id } }

func from(server string) func(*sketch) {
	return func(d *sketch) { d.Server = netip.AddrPortFrom(netip.MustParseAddr(server), 53) }
}

func by(resolver string) func(*sketch) {
	return func(d *sketch) { d.Resolver = netip.MustParseAddrPort(resolver) }
}

// at sets the time of a message, as a duration after epoch.
func at(after time.Duration) func(*sketch) {
	return func(d *sketch) {
		d.QueryTime = epoch + Time(after)
		if d.Role.response() {
			d.ResponseTime = d.QueryTime + 20*Time(time.Millisecond)
		}
	}
}

func asPacket(d *sketch) {
	d.Packet = true
	d.Zone = nil
	if d.Role.response() {
		d.QueryTime = NoTime
	}
}

func overTCP(d *sketch) { d.Transport = TCP }

func withRD(d *sketch) { d.dns.RecursionDesired = true }

func withTC(d *sketch) { d.dns.Truncated = true }

func withoutQuestion(d *sketch) { d.dns.Question, d.dns.Answer = nil, nil }

func cutShort(d *sketch) { d.wire = func(b []byte) []byte { return b[:len(b)-1] } }

// A lane runs a Pairer, and checks its account after every message.
type lane struct {
	*Pairer
	tb      failer
	policy  *Policy
	budget  *Budget
	records []Record // copies
}

func newLane(tb failer, policy *Policy) *lane {
	b := NewBudget(1000)
	return &lane{Pairer: NewPairer(b), tb: tb, policy: policy, budget: b}
}

func (l *lane) take(d *sketch) Reason {
	l.tb.Helper()
	return l.takeMessage(d.message())
}

// verdict takes a message and returns why it made no record at last: an early response is
// settled at once.
func (l *lane) verdict(d *sketch) Reason {
	l.tb.Helper()
	early := l.early.live
	reason := l.take(d)
	if l.early.live == early {
		return reason
	}
	before := l.Counts()
	l.settle(l.early.newest, l.policy, l.emit)
	after := l.Counts()
	for _, r := range Reasons() {
		if after.Dropped[r] > before.Dropped[r] {
			return r
		}
	}
	return Kept
}

func (l *lane) emit(r *Record) { l.records = append(l.records, cloneRecord(r)) }

// Finish ends the lane.
func (l *lane) Finish() { l.Pairer.Finish(l.policy, l.emit) }

func (l *lane) takeMessage(m *Message) Reason {
	l.tb.Helper()
	before := l.Counts()
	reason := l.Take(m, l.policy, l.emit)
	after := l.Counts()
	if after.Read != before.Read+1 || after.Read != after.Sum() {
		l.tb.Errorf("read %d then %d, accounted for %d: %+v", before.Read, after.Read, after.Sum(), after)
	}
	checkForbidden(l.tb, &after)
	return reason
}

// checkForbidden fails unless each record that scrubbing forbade is counted under one
// of the rules that do.
func checkForbidden(tb failer, c *Counts) {
	tb.Helper()
	var sums [numReasons]uint64
	for _, r := range Rules() {
		if why := r.ForbidsAs(); why != Kept {
			sums[why] += c.Scrubbed[r]
		}
	}
	for _, why := range []Reason{LocalName, ResolverAddress, SpecialName} {
		if sums[why] != c.Dropped[why] {
			tb.Errorf("%v: %d dropped, %d by rule", why, c.Dropped[why], sums[why])
		}
	}
}

// pass moves the clock, so that every pending query expires.
func (l *lane) pass(after time.Duration) {
	l.tb.Helper()
	for i := range agreement {
		l.take(aResponse(at(after), from("203.0.113.250"), withID(uint16(i))))
	}
}

// dropped returns the number of drops by reason.
func (l *lane) dropped() map[Reason]uint64 {
	m := map[Reason]uint64{}
	c := l.Counts()
	for _, r := range Reasons() {
		if n := c.Dropped[r]; n > 0 {
			m[r] = n
		}
	}
	return m
}

func cloneRecord(r *Record) Record {
	c := *r
	for _, b := range []*[]byte{&c.Name, &c.Zone, &c.Query, &c.Response} {
		if *b != nil {
			*b = append([]byte{}, *b...)
		}
	}
	return c
}
