package transform

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire/wiretest"
)

// newRRsetJudge returns a judge that knows these addresses as the resolver's.
func newRRsetJudge(p *Policy, known ...netip.Addr) *RRsetJudge {
	var l Learned
	l.See(known)
	j := new(RRsetJudge)
	j.SetPolicy(p, l.Known())
	return j
}

// judgeRecords judges an RRset in zone file form, whose bailiwick is its owner without the first label.
func (j *RRsetJudge) judgeRecords(tb testing.TB, records ...string) Reason {
	tb.Helper()
	var owner []byte
	var rdata [][]byte
	var header *dns.RR_Header
	for _, text := range records {
		rr := mustRR(tb, text)
		header = rr.Header()
		owner = mustPackName(header.Name)
		wire := make([]byte, 1024)
		n, err := dns.PackRR(rr, wire, 0, nil, false)
		if err != nil {
			tb.Fatal(err)
		}
		rdata = append(rdata, wire[len(owner)+dnswire.FixedLen:n])
	}
	zone := owner[min(1+int(owner[0]), len(owner)-1):]
	return j.Judge(owner, zone, header.Rrtype, header.Class, rdata)
}

func TestRRsetsAreJudgedByThemselves(t *testing.T) {
	judge := newRRsetJudge(scrubPolicy(t, func(c *Config) { c.LookupZones = []string{"list.example"} }), netip.MustParseAddr("203.0.113.99"))
	lax := newRRsetJudge(scrubPolicy(t, func(c *Config) {
		*c = Config{PairingTimeout: c.PairingTimeout, TimeResolution: c.TimeResolution, KeepResolver: true, KeepLookups: true}
	}), netip.MustParseAddr("203.0.113.99"))
	signature := func(owner string) string {
		return owner + " 60 RRSIG A 8 2 60 20300101000000 20200101000000 1 example. aGVsbG8="
	}
	hash := "0123456789abcdef0123456789abcdef0123456789abcdef01234567"
	for _, c := range []struct {
		what    string
		want    Reason
		records []string
	}{
		{"nothing local", Kept, []string{"www.example. 60 A 203.0.113.1", "www.example. 60 A 203.0.113.2"}},
		{"nothing local at the root", Kept, []string{". 60 NS a.root-servers.net."}},
		{"nothing local in a signature", Kept, []string{signature("www.example.")}},
		{"an address of a local network", Kept, []string{"www.example. 60 A 198.51.97.1"}},
		{"a local name at the end of another label", Kept, []string{"xuniv.example. 60 A 203.0.113.1"}},

		{"the owner", LocalName, []string{"x.univ.example. 60 A 203.0.113.1"}},
		{"the bailiwick", LocalName, []string{"univ.example. 60 NS ns.example."}},
		{"a local name in the owner", LocalName, []string{"univ.example.mx.test.net. 60 A 203.0.113.1"}},
		{"the owner of a signature", LocalName, []string{signature("univ.example.")}},
		{"an alias", LocalName, []string{"www.example. 60 CNAME www.univ.example."}},
		{"a name in rdata", LocalName, []string{"example. 60 MX 10 mx.example.", "example. 60 MX 20 mx.univ.example."}},
		{"the last of several", LocalName, []string{"example. 60 NS a.example.", "example. 60 NS b.example.", "example. 60 NS c.univ.example."}},
		{"text", LocalName, []string{`example. 60 TXT "v=spf1 include:univ.example -all"`}},
		{"text over two strings", LocalName, []string{`example. 60 TXT "include:un" "iv.example"`}},
		{"opaque octets", LocalName, []string{`example. 60 TYPE65280 \# 16 0004756e6976076578616d706c650000`}},
		{"U-labels", LocalName, []string{`example. 60 TXT "www.b\195\188cher.example"`}},
		{"an address of a local network in a name", LocalName, []string{"1.97.51.198.in-addr.arpa. 60 PTR www.example."}},
		{"the same in rdata", LocalName, []string{"www.example. 60 CNAME 1.97.51.198.in-addr.arpa."}},

		{"the resolver's address", ResolverAddress, []string{"whoami.example. 60 A 203.0.113.1", "whoami.example. 60 A 192.0.2.53"}},
		{"its other address", ResolverAddress, []string{"whoami.example. 60 AAAA 2001:db8:53::53"}},
		{"a learned address", ResolverAddress, []string{"whoami.example. 60 A 203.0.113.99"}},
		{"a learned address in text", ResolverAddress, []string{`whoami.example. 60 TXT "203-0-113-99"`}},
		{"the resolver's address in a name", ResolverAddress, []string{"53.2.0.192.in-addr.arpa. 60 PTR www.example."}},
		{"the same in an address hint", ResolverAddress, []string{"example. 60 HTTPS 1 . ipv4hint=192.0.2.53"}},

		{"below a zone of lists", Lookup, []string{"host.list.example. 60 A 203.0.113.1"}},
		{"the zone itself", Kept, []string{"list.example. 60 NS ns.example."}},
		{"an address in a list", Lookup, []string{"1.2.0.192.unknown.example. 60 A 127.0.0.2"}},
		{"a host that is called like it", Kept, []string{"1.2.0.192.dyn.example. 60 A 203.0.113.1"}},
		{"its signature, without the address", Lookup, []string{signature("1.2.0.192.dyn.example.")}},
		{"the key of a mailbox", Lookup, []string{hash + "._openpgpkey.example. 60 OPENPGPKEY aGVsbG8="}},

		{"a special name", SpecialName, []string{"printer.local. 60 A 203.0.113.1"}},
		{"the reverse name of a private address", SpecialName, []string{"1.0.0.10.in-addr.arpa. 60 PTR www.example."}},
		{"a top-level domain", Kept, []string{"example. 60 NS ns.example."}},
	} {
		if got := judge.judgeRecords(t, c.records...); got != c.want {
			t.Errorf("%s: got %v, want %v", c.what, got, c.want)
		}
		if got := lax.judgeRecords(t, c.records...); got != Kept {
			t.Errorf("%s, where nothing is forbidden: got %v", c.what, got)
		}
	}
}

// TestLocalNamesInRRsetsOfEveryType makes each name in the rdata of each type local.
func TestLocalNamesInRRsetsOfEveryType(t *testing.T) {
	names := 0
	owner := mustPackName("owner.example")
	for _, typ := range wiretest.KnownTypes() {
		rdata := [][]byte{wiretest.SampleRdata(t, typ)}
		if got := newRRsetJudge(scrubPolicy(t)).Judge(owner, owner, typ, dns.ClassINET, rdata); got != Kept {
			t.Errorf("%s: got %v without a local name", dns.TypeToString[typ], got)
		}
		for _, name := range wiretest.NamesOf(wiretest.SampleRR(t, typ)) {
			names++
			j := newRRsetJudge(scrubPolicy(t, func(c *Config) { c.LocalNames = []string{name} }))
			if got := j.Judge(owner, owner, typ, dns.ClassINET, rdata); got != LocalName {
				t.Errorf("%s with %s: got %v", dns.TypeToString[typ], name, got)
			}
		}
	}
	if names < 30 {
		t.Errorf("only %d names", names)
	}
}

// TestRRsetsAreJudgedAsTheRecordsThatContainThem compares an RRset with the response that it answers.
func TestRRsetsAreJudgedAsTheRecordsThatContainThem(t *testing.T) {
	p := scrubPolicy(t)
	j := newRRsetJudge(p)
	for _, text := range ownTexts {
		for typ, rdata := range map[uint16][]byte{
			dns.TypeTXT: charStrings(text.text), dns.TypeHTTPS: svcb(65280, text.text), 65280: []byte(text.text), dns.TypeNAPTR: naptr("", "", text.text),
		} {
			_, want := scrubOne(p, asResponse(answering(typ, rdata)))
			if got := j.Judge(mustPackName("q.example.net"), mustPackName("example.net"), typ, dns.ClassINET, [][]byte{rdata}); got != want {
				t.Errorf("%q in type %d: got %v, its record %v", text.text, typ, got, want)
			}
		}
	}
}

func TestRRsetsThatCannotBeJudgedAreMalformed(t *testing.T) {
	j := newRRsetJudge(scrubPolicy(t))
	owner, zone := mustPackName("www.example"), mustPackName("example")
	address := [][]byte{{203, 0, 113, 1}}
	for _, c := range []struct {
		what        string
		owner, zone []byte
		typ         uint16
		rdata       [][]byte
	}{
		{"no rdata", owner, zone, dns.TypeA, nil},
		{"no owner", nil, zone, dns.TypeA, address},
		{"octets after the owner", append(bytes.Clone(owner), 0), zone, dns.TypeA, address},
		{"a pointer as owner", []byte{0xc0, 0x0c}, zone, dns.TypeA, address},
		{"no bailiwick", owner, nil, dns.TypeA, address},
		{"a bailiwick that is not a name", owner, []byte{7, 'e'}, dns.TypeA, address},
		{"a short address", owner, zone, dns.TypeA, [][]byte{{203, 0, 113}}},
		{"the second address is short", owner, zone, dns.TypeA, [][]byte{address[0], {203, 0, 113}}},
		{"a name that does not end", owner, zone, dns.TypeNS, [][]byte{{3, 'a', 'b'}}},
		{"a pointer into the next record", owner, zone, dns.TypeNS, [][]byte{{0xc0, 0x40}}},
		{"octets after a name", owner, zone, dns.TypeNS, [][]byte{append(bytes.Clone(zone), 0)}},
		{"OPT", owner, zone, dns.TypeOPT, [][]byte{{}}},
		{"TSIG", owner, zone, dns.TypeTSIG, [][]byte{mustPackName("www.univ.example")}},
		{"TKEY", owner, zone, dns.TypeTKEY, [][]byte{mustPackName("www.univ.example")}},
		{"rdata that no message has room for", owner, zone, 65280, [][]byte{make([]byte, 65535)}},
	} {
		if got := j.Judge(c.owner, c.zone, c.typ, dns.ClassINET, c.rdata); got != Malformed {
			t.Errorf("%s: got %v", c.what, got)
		}
	}
	if got := j.Judge(owner, zone, dns.TypeA, dns.ClassINET, address); got != Kept {
		t.Errorf("afterwards: got %v", got)
	}
}

// TestRRsetsThatFillSeveralMessages judges RRsets that are longer than the longest message.
func TestRRsetsThatFillSeveralMessages(t *testing.T) {
	j := newRRsetJudge(scrubPolicy(t))
	owner := mustPackName("www.example")
	var rdata [][]byte
	for i := range 5000 {
		rdata = append(rdata, mustPackName(fmt.Sprintf("host-number-%d.in.a.domain.with.a.long.name.example.net", i)))
	}
	if got := j.Judge(owner, owner, dns.TypePTR, dns.ClassINET, rdata); got != Kept {
		t.Errorf("nothing local: got %v", got)
	}
	for _, at := range []int{0, 1200, 2500, len(rdata) - 1} {
		was := rdata[at]
		rdata[at] = mustPackName("www.univ.example")
		if got := j.Judge(owner, owner, dns.TypePTR, dns.ClassINET, rdata); got != LocalName {
			t.Errorf("a local name in record %d: got %v", at, got)
		}
		rdata[at] = was
	}
	for _, n := range []int{1, 20, 300} { // each needs another part of a message
		long := [][]byte{make([]byte, 65535-n-100), make([]byte, n), make([]byte, 60_000)}
		if got := j.Judge(owner, owner, 65280, dns.ClassINET, long); got != Kept {
			t.Errorf("zeros: got %v", got)
		}
	}
}

func TestJudgedRRsetsAreBorrowed(t *testing.T) {
	j := newRRsetJudge(scrubPolicy(t))
	owner, zone, rdata := wiretest.Name("WWW.Univ.Example"), wiretest.Name("Example"), [][]byte{wiretest.Name("A.Example")}
	if got := j.Judge(owner, zone, dns.TypeNS, dns.ClassINET, rdata); got != LocalName {
		t.Errorf("got %v: letter case matters", got)
	}
	if string(owner) != string(wiretest.Name("WWW.Univ.Example")) || string(zone) != string(wiretest.Name("Example")) || string(rdata[0]) != string(wiretest.Name("A.Example")) {
		t.Error("the RRset was changed")
	}
}

func TestJudgingRRsetsAllocatesNothing(t *testing.T) {
	j := newRRsetJudge(scrubPolicy(t), netip.MustParseAddr("203.0.113.99"))
	owner, zone := mustPackName("www.example"), mustPackName("example")
	rdata := [][]byte{mustPackName("a.example"), mustPackName("b.example")}
	if n := testing.AllocsPerRun(100, func() { j.Judge(owner, zone, dns.TypeNS, dns.ClassINET, rdata) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkJudgeRRset(b *testing.B) {
	j := newRRsetJudge(scrubPolicy(b), netip.MustParseAddr("203.0.113.99"))
	owner, zone := mustPackName("www.some-domain.example"), mustPackName("some-domain.example")
	signature := make([]byte, 256)
	rand.NewChaCha8([32]byte{}).Read(signature)
	for _, c := range []struct {
		what  string
		typ   uint16
		rdata [][]byte
	}{
		{"A", dns.TypeA, [][]byte{{203, 0, 113, 1}}},
		{"NS", dns.TypeNS, [][]byte{mustPackName("ns1.some-domain.example"), mustPackName("ns2.some-domain.example")}},
		{"TXT", dns.TypeTXT, [][]byte{charStrings("v=spf1 include:_spf.some-domain.example ip4:203.0.113.0/24 -all")}},
		{"RRSIG", dns.TypeRRSIG, [][]byte{slices.Concat(make([]byte, 18), zone, signature)}},
	} {
		b.Run(c.what, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if got := j.Judge(owner, zone, c.typ, dns.ClassINET, c.rdata); got != Kept {
					b.Fatal(got)
				}
			}
		})
	}
}
