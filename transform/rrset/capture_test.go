package rrset

import (
	"errors"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	dnstap "github.com/dnstap/golang-dnstap"
	framestream "github.com/farsightsec/golang-framestream"
	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
	"google.golang.org/protobuf/proto"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// messages reads a capture of package transform with the reference libraries.
func messages(tb testing.TB, name string) (all []*transform.Message) {
	tb.Helper()
	f, err := os.Open("../testdata/captures/" + name + ".fstrm")
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	dec, err := framestream.NewDecoder(f, &framestream.DecoderOptions{ContentType: []byte("protobuf:dnstap.Dnstap")})
	if err != nil {
		tb.Fatal(err)
	}
	for {
		b, err := dec.Decode()
		if errors.Is(err, io.EOF) {
			return all
		}
		var d dnstap.Dnstap
		if err := errors.Join(err, proto.Unmarshal(b, &d)); err != nil {
			tb.Fatal(err)
		}
		if m := message(d.Message); m != nil {
			all = append(all, m)
		}
	}
}

// message returns a message between a resolver and a server, or nil.
func message(d *dnstap.Message) *transform.Message {
	m := &transform.Message{QueryTime: transform.NoTime, ResponseTime: transform.NoTime, Zone: d.QueryZone}
	switch d.GetType() {
	case dnstap.Message_RESOLVER_QUERY:
		m.Role, m.Wire = transform.ResolverQuery, d.QueryMessage
	case dnstap.Message_RESOLVER_RESPONSE:
		m.Role, m.Wire = transform.ResolverResponse, d.ResponseMessage
	default:
		return nil
	}
	if d.QueryTimeSec != nil {
		m.QueryTime = transform.Time(d.GetQueryTimeSec())*second + transform.Time(d.GetQueryTimeNsec())
	}
	if d.ResponseTimeSec != nil {
		m.ResponseTime = transform.Time(d.GetResponseTimeSec())*second + transform.Time(d.GetResponseTimeNsec())
	}
	server, _ := netip.AddrFromSlice(d.ResponseAddress)
	resolver, _ := netip.AddrFromSlice(d.QueryAddress)
	m.Server = netip.AddrPortFrom(server, uint16(d.GetResponsePort()))
	m.Resolver = netip.AddrPortFrom(resolver, uint16(d.GetQueryPort()))
	return m
}

// labZone is the root zone of the captures of PowerDNS, which knew the top-level domains from before.
const labZone = `. 60 SOA ns. h. 1 2 3 4 5
com. 60 NS a.gtld.net.
net. 60 NS a.gtld.net.
a.gtld.net. 60 A 192.5.6.30
a.gtld.net. 60 A 203.0.113.16
`

// newLabSensor returns a sensor with the root servers of the captures.
func newLabSensor(tb testing.TB) *sensor {
	s := newSensor(tb)
	for _, a := range []string{"198.41.0.4", "2001:db8:41::4", "203.0.113.10", "203.0.113.15", "2001:db8::10"} {
		s.delegations.roots[netip.MustParseAddr(a)] = true
	}
	return s
}

// TestCapturesOfRealResolvers verifies what real resolvers queried in a closed world: by the zones
// that they stated, and again as if packets had been captured, which must verify the same. It does
// not show packets of zones without a delegation, for which the resolvers were configured with a server
// (stub zones). Responses come in the order of the streams, which is not that of the queries. Every
// response gets forged RRsets, which must not pass.
func TestCapturesOfRealResolvers(t *testing.T) {
	isStub := func(name []byte) bool {
		return dns.IsSubDomain("corp.example.", text(name)) || dns.IsSubDomain("10.in-addr.arpa.", text(name))
	}
	for _, c := range []struct {
		name                       string
		inside, outside, forwarded uint64 // RRsets
	}{
		{"unbound", 161, 0, 0}, {"unbound-noout", 169, 0, 0}, {"unbound-2", 670, 29, 0}, {"unbound-3", 668, 26, 0},
		{"bind", 168, 0, 0}, {"bind-2", 636, 24, 4}, {"bind-fwd", 0, 0, 50}, {"pdns", 114, 0, 0}, {"pdns-2", 504, 16, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			exact, packets := newLabSensor(t), newLabSensor(t)
			if seed, err := ReadSeed(strings.NewReader(labZone)); err != nil {
				t.Fatal(err)
			} else if strings.HasPrefix(c.name, "pdns") {
				packets.delegations.Plant(seed)
			}
			var byZone, byDelegation []string
			forged := uint64(0)
			// one server holds both zones in each of these pairs
			same := strings.NewReplacer(" root-servers.net.", " .", " in-addr.arpa.", " arpa.")
			note := func(to *[]string) func(*RRset, transform.Time, uint32) {
				return func(r *RRset, _ transform.Time, _ uint32) { *to = append(*to, same.Replace(shown(r))) }
			}
			observed(t, c.name, func(r *transform.Record) {
				if isStub(r.Name) {
					return
				}
				forged += forge(t, r)
				exact.Take(r, 0, note(&byZone))
				asPacket := *r
				asPacket.Zone = nil
				packets.Take(&asPacket, 0, note(&byDelegation))
			})
			slices.Sort(byZone)
			slices.Sort(byDelegation)
			if d := cmp.Diff(byZone, byDelegation); d != "" {
				t.Errorf("by the zone (-) and by delegation (+):\n%s", d)
			}
			got := exact.Counts().By
			if got[Exact] != c.inside || got[OutOfZone] != c.outside+forged || got[Forwarded] != c.forwarded {
				t.Errorf("counts %v, want %+v and %d forged", got, c, forged)
			}
		})
	}
}

// forge adds RRsets to a response that the servers of its zone have no authority to state, and returns
// their number.
func forge(tb testing.TB, r *transform.Record) (n uint64) {
	zone := text(r.Zone)
	var m dns.Msg
	if err := m.Unpack(r.Response); err != nil {
		tb.Fatal(err)
	}
	if r.Forwarded || len(r.Zone) < 2 || zone == "root-servers.net." || zone == "in-addr.arpa." ||
		m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError {
		return 0
	}
	parent := text(parentOf(r.Zone))
	for section, record := range map[*[]dns.RR]string{
		&m.Answer: "not" + zone + " 60 A 192.0.2.66", &m.Ns: parent + " 60 NS forged." + zone, &m.Extra: "ns1." + strings.TrimPrefix(parent, ".") + " 60 A 192.0.2.66",
	} {
		rr := resourceRecords(tb, record)
		isSame := func(x dns.RR) bool {
			return x.Header().Name == rr[0].Header().Name && x.Header().Rrtype == rr[0].Header().Rrtype
		}
		if !slices.ContainsFunc(*section, isSame) { // else it becomes a part of an RRset that is outside, too
			n++
		}
		*section = append(*section, rr...)
	}
	var err error
	if r.Response, err = m.Pack(); err != nil {
		tb.Fatal(err)
	}
	return n
}

// observed passes the records of a capture.
func observed(tb testing.TB, name string, emit func(*transform.Record)) {
	policy, err := transform.NewPolicy(transform.Config{
		PairingTimeout: time.Minute, Rcodes: []uint8{dns.RcodeSuccess, dns.RcodeNameError, dns.RcodeServerFailure, dns.RcodeRefused},
		TimeResolution: time.Second, LocalServers: true, Forwarded: true,
	})
	if err != nil {
		tb.Fatal(err)
	}
	p := transform.NewPairer(transform.NewBudget(1 << 16))
	for _, m := range messages(tb, name) {
		p.Take(m, policy, emit)
	}
	p.Finish(policy, emit)
}
