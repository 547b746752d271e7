package transform

import (
	"encoding/binary"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/publicsuffix"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire/wiretest"
)

// specials are query names and whether they are special-use: every name of the list, and
// similar names.
var specials = map[string]bool{
	"local": true, "printer.local": true, "localhost": true, "a.localhost": true, "test": true, "x.test": true,
	"invalid": true, "onion": true, "x.onion": true, "alt": true, "internal": true, "home.arpa": true, "x.home.arpa": true,
	"resolver.arpa": true, "_dns.resolver.arpa": true, "service.arpa": true, "ipv4only.arpa": true, "corp": true,
	"home": true, "lan": true, "mail": true, "localdomain": true, "X.LocalDomain": true, "PRINTER.LOCAL": true,

	"local.example": false, "notlocal": false, "localhosts": false, "example": false, "www.example.com": false,
	"test.example": false, "arpa": false, "in-addr.arpa": false, "ip6.arpa": false, "uri.arpa": false, "homes.arpa": false,
	"localdomains": false, "private": false, "intranet": false, "as112.arpa": false, "gateway": false, "mail.com": false,

	"0.in-addr.arpa": true, "1.2.3.0.in-addr.arpa": true,
	"10.in-addr.arpa": true, "1.10.in-addr.arpa": true, "1.2.3.10.in-addr.arpa": true, "x.10.IN-ADDR.arpa": true,
	"9.in-addr.arpa": false, "11.in-addr.arpa": false, "10.1.in-addr.arpa": false, "100.in-addr.arpa": false,
	"63.100.in-addr.arpa": false, "64.100.in-addr.arpa": true, "127.100.in-addr.arpa": true, "128.100.in-addr.arpa": false,
	"1.2.100.100.in-addr.arpa": true, "127.in-addr.arpa": true, "1.0.0.127.in-addr.arpa": true, "128.in-addr.arpa": false,
	"254.169.in-addr.arpa": true, "169.254.169.254.in-addr.arpa": false, "254.169.254.169.in-addr.arpa": true,
	"253.169.in-addr.arpa": false, "169.in-addr.arpa": false,
	"15.172.in-addr.arpa": false, "16.172.in-addr.arpa": true, "31.172.in-addr.arpa": true, "32.172.in-addr.arpa": false,
	"172.in-addr.arpa": false, "1.1.20.172.in-addr.arpa": true, "x.172.in-addr.arpa": false,
	"168.192.in-addr.arpa": true, "1.168.192.in-addr.arpa": true, "192.in-addr.arpa": false, "167.192.in-addr.arpa": false,
	"192.168.192.in-addr.arpa": true, "0/25.1.168.192.in-addr.arpa": true,
	"2.0.192.in-addr.arpa": false, "100.51.198.in-addr.arpa": false, "113.0.203.in-addr.arpa": false,
	"224.in-addr.arpa": false, "255.255.255.255.in-addr.arpa": true, "254.255.255.255.in-addr.arpa": false, "10.in-addr.arpa.example": false,

	"d.f.ip6.arpa": true, "0.d.f.ip6.arpa": true, "D.F.IP6.ARPA": true, "c.f.ip6.arpa": true, "b.f.ip6.arpa": false, "f.ip6.arpa": false, "e.f.ip6.arpa": false,
	"7.e.f.ip6.arpa": false, "8.e.f.ip6.arpa": true, "9.e.f.ip6.arpa": true, "a.e.f.ip6.arpa": true, "b.e.f.ip6.arpa": true,
	"c.e.f.ip6.arpa": false, "f.f.ip6.arpa": false, "8.b.d.0.1.0.0.2.ip6.arpa": false, "fd.ip6.arpa": false,
	reverseName("fd00::1"): true, reverseName("fe80::1"): true, reverseName("febf::1"): true, reverseName("fec0::1"): false,
	reverseName("fc00::1"): true, reverseName("::1"): true, reverseName("::"): true, reverseName("::2"): false, reverseName("2001:db8::1"): false,
}

func TestSpecialNames(t *testing.T) {
	p := scrubPolicy(t, func(c *Config) { c.LocalNetworks, c.Resolvers = nil, nil })
	off := scrubPolicy(t, func(c *Config) { c.LocalNetworks, c.Resolvers, c.SpecialNames = nil, nil, false })
	for name, special := range specials {
		want := Kept
		if special {
			want = SpecialName
		}
		wire := wiretest.New(name, dns.TypeA).Wire
		wantReason(t, p, wire, want)
		wantReason(t, off, wire, Kept)
	}
}

// TestOnlyQueryNamesAreSpecial, not owners or rdata.
func TestOnlyQueryNamesAreSpecial(t *testing.T) {
	p := scrubPolicy(t)
	wire := wiretest.New("www.example.net", dns.TypeA).
		With(dnswire.Answer, "printer.local", dns.TypeNS, wiretest.Name("localhost")).
		With(dnswire.Additional, "1.168.192.in-addr.arpa", dns.TypePTR, wiretest.Name("x.lan")).Wire
	wantReason(t, p, wire, Kept)
}

func TestNamesUnderNoTLD(t *testing.T) {
	soa := append(append(wiretest.Name("ns.example.net"), wiretest.Name("hostmaster.example.net")...), make([]byte, 20)...)
	plain := func(name string, rcode uint16) *wiretest.Message {
		d := wiretest.New(name, dns.TypeA)
		binary.BigEndian.PutUint16(d.Wire[2:], 0x8400|rcode)
		return d
	}
	compressedRoot := plain("www.printer1", dns.RcodeNameError)
	compressedRoot.Record(dnswire.Authority, wiretest.PointTo(dnswire.HeaderLen+len("\x03www\x08printer1")), dns.TypeSOA, soa)
	for _, tt := range []struct {
		name string
		wire []byte
		zone string
		want Reason
	}{
		{"single label", plain("printer1", dns.RcodeNameError).Wire, "example", SpecialName},
		{"single label that exists", plain("com", dns.RcodeSuccess).Wire, "example", Kept},
		{"two labels", plain("www.example", dns.RcodeNameError).Wire, "example", Kept},
		{"the root itself", plain("", dns.RcodeNameError).Wire, "example", Kept},
		{"root SOA in authority", plain("www.printer1", dns.RcodeNameError).With(dnswire.Authority, "", dns.TypeSOA, soa).Wire, "example", Kept}, // any server can send it
		{"root SOA after a pointer", compressedRoot.Wire, "example", Kept},
		{"root SOA in answer", plain("www.printer1", dns.RcodeNameError).With(dnswire.Answer, "", dns.TypeSOA, soa).Wire, "example", Kept},
		{"root NS in authority", plain("www.printer1", dns.RcodeNameError).With(dnswire.Authority, "", dns.TypeNS, wiretest.Name("a")).Wire, "example", Kept},
		{"other SOA in authority", plain("www.printer1", dns.RcodeNameError).With(dnswire.Authority, "example", dns.TypeSOA, soa).Wire, "example", Kept},
		{"root SOA, NOERROR", plain("www.printer1", dns.RcodeSuccess).With(dnswire.Authority, "", dns.TypeSOA, soa).Wire, "example", Kept},
		{"zone of the root", plain("www.printer1", dns.RcodeNameError).Wire, ".", SpecialName},
		{"zone of the root, REFUSED", plain("www.printer1", dns.RcodeRefused).Wire, ".", SpecialName},
		{"zone of the root, SERVFAIL", plain("www.printer1", dns.RcodeServerFailure).Wire, ".", SpecialName},
		{"REFUSED", plain("www.printer1", dns.RcodeRefused).Wire, "example", Kept},
		{"single label, REFUSED", plain("printer1", dns.RcodeRefused).Wire, "example", SpecialName},
		{"zone of the root, NOERROR", plain("www.example.com", dns.RcodeSuccess).Wire, ".", Kept},
		{"no zone stated", plain("www.printer1", dns.RcodeNameError).Wire, "", Kept},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := asResponse(tt.wire)
			m.Zone = wiretest.Name(tt.zone)
			if tt.zone == "" {
				m.Zone = nil
			}
			for p, want := range map[*Policy]Reason{
				scrubPolicy(t): tt.want,
				scrubPolicy(t, func(c *Config) { c.SpecialNames = false }): Kept,
			} {
				if _, got := scrubOne(p, m); got != want {
					t.Errorf("special names %v: got %v, want %v", p.specialNames, got, want)
				}
			}
		})
	}
}

func TestTimesAreTruncated(t *testing.T) {
	for _, tt := range []struct {
		in         Time
		resolution time.Duration
		want       Time
	}{
		{1_600_000_000_999_999_999, time.Second, 1_600_000_000_000_000_000},
		{1_600_000_000_000_000_000, time.Second, 1_600_000_000_000_000_000},
		{1_600_000_000_123_456_789, 1, 1_600_000_000_123_456_789},
		{1_600_000_000_123_456_789, time.Millisecond, 1_600_000_000_123_000_000},
		{1_600_000_000_123_456_789, time.Hour, 1_599_998_400_000_000_000},
		{0, time.Second, 0},
		{-1, time.Second, -1_000_000_000},
		{-1_000_000_000, time.Second, -1_000_000_000},
		{-1_500_000_000, time.Second, -2_000_000_000},
		{NoTime, time.Second, NoTime},
		{NoTime + 1, 1, NoTime + 1},
		{math.MaxInt64, time.Second, 9223372036 * Time(time.Second)},
	} {
		p := scrubPolicy(t, func(c *Config) { c.TimeResolution = tt.resolution })
		if got := p.truncate(tt.in); got != tt.want {
			t.Errorf("%d to %v: got %d, want %d", tt.in, tt.resolution, got, tt.want)
		}
		if tt.in == NoTime {
			continue // every response has a time
		}
		m := asResponse(wiretest.New("q.example.net", dns.TypeA).Wire)
		m.QueryTime, m.ResponseTime = tt.in, tt.in
		if record, _ := scrubOne(p, m); record == nil || record.QueryTime != tt.want || record.ResponseTime != tt.want {
			t.Errorf("%d to %v: record %+v", tt.in, tt.resolution, record)
		}
	}
}

// A zone that occurs twice, is below another, or is a public suffix is an error: it has no
// effect, or drops names that are not lookups.
func TestDefaultLookupZonesAreDistinctZones(t *testing.T) {
	zones := DefaultLookupZones()
	if len(zones) < 80 {
		t.Errorf("%d zones: the table is incomplete", len(zones))
	}
	for i, zone := range zones {
		if name, err := ParseLocalName(zone); err != nil || name != zone {
			t.Errorf("%q reads as %q, %v", zone, name, err)
		}
		if suffix, _ := publicsuffix.PublicSuffix(zone); suffix == zone {
			t.Errorf("%q is a public suffix", zone)
		}
		for j, other := range zones {
			if i != j && (zone == other || strings.HasSuffix(zone, "."+other)) {
				t.Errorf("%q is covered by %q", zone, other)
			}
		}
	}
}

func TestRootServersAreThirteenOfEachFamily(t *testing.T) {
	seen := map[netip.Addr]bool{}
	families := map[int]int{}
	for _, a := range RootServers() {
		if seen[a] || !a.IsGlobalUnicast() {
			t.Errorf("%v occurs twice, or is not the address of a server", a)
		}
		seen[a] = true
		families[a.BitLen()]++
	}
	if families[32] != 13 || families[128] != 13 {
		t.Errorf("got %d IPv4 and %d IPv6 addresses, want 13 each", families[32], families[128])
	}
}
