package transform

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire/wiretest"
)

// mustPackName packs a name in presentation form without compression.
func mustPackName(name string) []byte {
	b, err := packName(name)
	if err != nil {
		panic(err)
	}
	return b
}

// mustRR reads a record in zone file form.
func mustRR(tb testing.TB, text string) dns.RR {
	tb.Helper()
	rr, err := dns.NewRR(text)
	if err != nil || rr == nil {
		tb.Fatalf("%q: %v", text, err)
	}
	return rr
}

var (
	ownAddr4 = netip.MustParseAddr("192.0.2.53")
	ownAddr6 = netip.MustParseAddr("2001:db8:53::53")

	ownNetworks = []netip.Prefix{netip.MustParsePrefix("198.18.99.0/24"), netip.MustParsePrefix("2001:db8:55::/48")}
)

// single returns prefixes of full length for these addresses.
func single(addrs ...netip.Addr) []netip.Prefix {
	var all []netip.Prefix
	for _, a := range addrs {
		all = append(all, netip.PrefixFrom(a, a.BitLen()))
	}
	return all
}

// scrubPolicy returns the default policy with the local names and networks of these tests.
func scrubPolicy(tb testing.TB, edits ...func(*Config)) *Policy {
	tb.Helper()
	c := Config{
		PairingTimeout: time.Minute,
		Rcodes:         []uint8{dns.RcodeSuccess, dns.RcodeNameError, dns.RcodeServerFailure, dns.RcodeRefused},
		Resolvers:      slices.Concat(ownNetworks, single(ownAddr4, ownAddr6)),
		LocalNames:     []string{"univ.example", "bücher.example"},
		LocalNetworks: []netip.Prefix{
			netip.MustParsePrefix("198.51.96.0/20"), netip.MustParsePrefix("2001:db8:a000::/35"),
		},
		SpecialNames:   true,
		TimeResolution: time.Second,
	}
	for _, edit := range edits {
		edit(&c)
	}
	p, err := NewPolicy(c)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// asResponse returns a response as a dnstap source gives it to a lane.
func asResponse(wire []byte) *Message {
	return &Message{
		Role:         ResolverResponse,
		Server:       netip.MustParseAddrPort("203.0.113.1:53"),
		Resolver:     netip.AddrPortFrom(ownAddr4, 40000),
		QueryTime:    1_600_000_000_123_456_789,
		ResponseTime: 1_600_000_001_987_654_321,
		Zone:         wiretest.Name("example"),
		Wire:         wire,
	}
}

// scrubOne gives one message to a new lane. The record is a copy; nil if there is none.
func scrubOne(p *Policy, m *Message) (*Record, Reason) {
	var record *Record
	lane := NewPairer(NewBudget(8))
	reason := lane.Take(m, p, func(r *Record) {
		c := *r
		c.Name, c.Zone = slices.Clone(r.Name), slices.Clone(r.Zone)
		c.Query, c.Response = slices.Clone(r.Query), slices.Clone(r.Response)
		record = &c
	})
	return record, reason
}

// wantReason gives one response to a new lane, and compares its reason.
func wantReason(t *testing.T, p *Policy, wire []byte, want Reason) {
	t.Helper()
	record, got := scrubOne(p, asResponse(wire))
	if got != want {
		t.Errorf("got %v, want %v\n% x", got, want, wire)
	}
	if (record != nil) != (got == Kept) {
		t.Errorf("%v, but record is %v", got, record)
	}
}

// removed is the verdict on a response whose record lacks an RRset.
const removed = "removed"

// verdict returns the result for one response in a new lane: a reason, kept or removed.
func verdict(p *Policy, m *Message) string {
	lane := NewPairer(NewBudget(8))
	reason := lane.Take(m, p, func(*Record) {})
	if reason == Kept && lane.applied.has(RRsetRemoved) {
		return removed
	}
	return reason.String()
}

// wantRemoved gives one response to a new lane, which must remove an RRset.
func wantRemoved(t *testing.T, p *Policy, wire []byte) {
	t.Helper()
	if got := verdict(p, asResponse(wire)); got != removed {
		t.Errorf("got %v, want %v\n% x", got, removed, wire)
	}
}

// mustScrub gives one response to a new lane, and returns the response of its record.
func mustScrub(t *testing.T, p *Policy, wire []byte) []byte {
	t.Helper()
	in := bytes.Clone(wire)
	record, reason := scrubOne(p, asResponse(wire))
	if !bytes.Equal(in, wire) {
		t.Error("the input was changed")
	}
	if record == nil {
		t.Fatalf("no record: %v\n% x", reason, wire)
	}
	return record.Response
}
