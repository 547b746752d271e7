package transform

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// An exchange is a query and its response, and the policy that judges them.
type exchange struct {
	config          []func(*Config)
	before          []*sketch
	query, response *sketch // nil: never sent
}

func newExchange(packets bool) *exchange {
	x := &exchange{query: aQuery(), response: aResponse()}
	if packets {
		x.query.with(asPacket)
		x.response.with(asPacket)
	}
	return x
}

// both edits the query and the response.
func (x *exchange) both(edit func(*sketch)) {
	x.query.with(edit)
	x.response.with(edit)
}

func (x *exchange) configure(edit func(*Config)) { x.config = append(x.config, edit) }

// answered sends both, and returns the reason of the response.
func (x *exchange) answered(t *testing.T) (*lane, Reason) {
	l := newLane(t, testPolicy(t, x.config...))
	for _, d := range x.before {
		l.take(d)
	}
	if x.query != nil {
		if r := l.take(x.query); r != Kept {
			t.Errorf("the query was %v", r)
		}
	}
	return l, l.verdict(x.response)
}

// expired sends the query alone, lets it expire, and returns its reason.
func (x *exchange) expired(t *testing.T) Reason {
	l := newLane(t, testPolicy(t, x.config...))
	if r := l.take(x.query); r != Kept {
		t.Errorf("the query was %v", r)
	}
	// Messages that are not outward do not move the clock, so the next query moves it,
	// which is still pending at the end.
	l.take(aQuery(at(60*time.Second), withID(1)))
	dropped := l.dropped()
	switch len(dropped) {
	case 0:
		return Kept
	case 1:
		for r, n := range dropped {
			if n == 1 {
				return r
			}
		}
	}
	t.Errorf("one query was dropped as %v", dropped)
	return numReasons
}

// A fault is one error in an exchange.
type fault struct {
	reason  Reason
	query   bool // a query that expires shows it too
	packets bool // packets only
	apply   func(x *exchange)
}

// faults are in the order of the ledger, and can be combined. Malformed DNS follows
// not_outward, malformed frames precede it.
var faults = []fault{
	{NotOutward, false, false, func(x *exchange) { x.response.Role = OtherRole }},
	{Malformed, false, false, func(x *exchange) { x.response.with(cutShort) }},
	{Forwarded, true, false, func(x *exchange) { x.both(withRD) }},
	{LocalServer, true, false, func(x *exchange) { x.both(from("10.0.0.53")) }},
	{NotLookup, true, false, func(x *exchange) {
		x.both(func(d *sketch) { d.dns.Opcode = dns.OpcodeNotify })
	}},
	{Truncated, false, false, func(x *exchange) { x.response.with(withTC) }},
	{Rcode, false, false, func(x *exchange) { x.response.dns.Rcode = dns.RcodeNotImplemented }},
	{Mismatched, false, false, func(x *exchange) { x.query.with(ofType(dns.TypeMX)) }},
	{Unsolicited, false, true, func(x *exchange) {
		// Not by another ID: if a query with another question is pending, mismatched
		// comes first.
		x.query.Resolver = netip.AddrPortFrom(x.query.Resolver.Addr(), 1)
	}},
	{LocalName, true, false, func(x *exchange) {
		x.configure(func(c *Config) {
			c.LocalNames = []string{"www.shop.example", "www.shop.test"}
		})
	}},
	{ResolverAddress, false, false, func(x *exchange) {
		x.response.answer("www.shop.example. 1 IN A 192.0.2.53", "www.shop.test. 1 IN A 192.0.2.53")
	}},
	{Lookup, true, false, func(x *exchange) {
		x.configure(func(c *Config) { c.LookupZones = []string{"shop.example", "shop.test"} })
	}},
	{SpecialName, true, false, func(x *exchange) { x.both(asked("www.shop.test.")) }},
	{Unscrubbable, false, false, func(x *exchange) { x.response.wire = growsTooLong(x.response.wire) }},
	{Unanswered, true, false, func(*exchange) {}},
}

// growsTooLong adds records with compressed names to a message, which exceed the longest
// message when they are written without compression, and an OPT before the last, so that the
// message must be rebuilt.
func growsTooLong(then func([]byte) []byte) func([]byte) []byte {
	const n = 1500
	return func(b []byte) []byte {
		long := dns.Fqdn(strings.Repeat(strings.Repeat("a", 60)+".", 3))
		ns, _ := dns.NewRR("long.example. 1 IN NS " + long)
		start := len(b)
		b = append(b, make([]byte, 300)...)
		end, err := dns.PackRR(ns, b, start, nil, false)
		if err != nil {
			panic(err)
		}
		b = b[:end]
		target := uint16(end - (len(long) + 1))
		for range n { // SRV targets, compressed as they should not be (RFC 3597 section 4)
			b = append(b, 0, 0, byte(dns.TypeSRV), 0, 1, 0, 0, 0, 1, 0, 8, 0, 0, 0, 0, 0, 53)
			b = binary.BigEndian.AppendUint16(b, 0xc000|target)
		}
		b = append(b, 0, 0, byte(dns.TypeOPT), 4, 0, 0, 0, 0, 0, 0, 0)
		b = append(b, 0, 0, byte(dns.TypeA), 0, 1, 0, 0, 0, 1, 0, 4, 198, 51, 100, 9)
		binary.BigEndian.PutUint16(b[10:], binary.BigEndian.Uint16(b[10:])+n+3)
		if then != nil {
			b = then(b)
		}
		return b
	}
}

// TestTheFirstReasonThatAppliesWins gives a response each fault, and each two.
func TestTheFirstReasonThatAppliesWins(t *testing.T) {
	for _, packets := range []bool{false, true} {
		for i, a := range faults {
			for _, b := range faults[i:] {
				if !a.of(packets) || !b.of(packets) || a.reason == Unanswered || b.reason == Unanswered {
					continue
				}
				t.Run(fmt.Sprintf("packets=%v/%v,%v", packets, a.reason, b.reason), func(t *testing.T) {
					x := newExchange(packets)
					a.apply(x)
					if b.reason != a.reason {
						b.apply(x)
					}
					want := a.reason
					if a.reason == Mismatched && b.reason == Unsolicited {
						want = Unsolicited // there is no query with that five-tuple
					}
					l, got := x.answered(t)
					if got != want {
						t.Errorf("got %v, want %v", got, want)
					}
					if c := l.Counts(); c.Dropped[want] != 1 || c.Records != 0 || len(l.records) != 0 || c.Read != c.Sum() {
						t.Errorf("counted as %v, %d records", l.dropped(), len(l.records))
					}
				})
			}
		}
	}
}

// TestTheFirstReasonWinsForExpiringQueries does so with a query that expires.
func TestTheFirstReasonWinsForExpiringQueries(t *testing.T) {
	for _, packets := range []bool{false, true} {
		for i, a := range faults {
			for _, b := range faults[i:] {
				if !a.of(packets) || !b.of(packets) || !a.query || !b.query {
					continue
				}
				t.Run(fmt.Sprintf("packets=%v/%v,%v", packets, a.reason, b.reason), func(t *testing.T) {
					x := newExchange(packets)
					a.apply(x)
					if b.reason != a.reason {
						b.apply(x)
					}
					if got := x.expired(t); got != a.reason {
						t.Errorf("got %v, want %v", got, a.reason)
					}
				})
			}
		}
		x := newExchange(packets)
		x.both(asked("53.2.0.192.in-addr.arpa."))
		if got := x.expired(t); got != ResolverAddress {
			t.Errorf("the resolver's own reverse name: %v", got)
		}
		x.configure(func(c *Config) { c.LocalNames = []string{"2.0.192.in-addr.arpa"} })
		if got := x.expired(t); got != LocalName {
			t.Errorf("the resolver's own reverse name, which is local too: %v", got)
		}
	}
}

func (f fault) of(packets bool) bool { return packets || !f.packets }
