package cof

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
	"gotest.tools/v3/golden"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg/nmsgtest"
	"github.com/dnstap-pdns/dnstap-pdns/transform/dnstext"
	"github.com/dnstap-pdns/dnstap-pdns/transform/rrset"
)

var profiles = map[string]Profile{"cof": Draft, "circl": CIRCL}

// aggregateOf returns an expiration of an RRset, of which each rdata is a record in zone file
// form.
func aggregateOf(t testing.TB, records ...string) *rrset.Aggregate {
	t.Helper()
	a := &rrset.Aggregate{Sighting: rrset.Sighting{TimeFirst: 1700000000, TimeLast: 1700000060, Count: 3}, Event: rrset.Expiration}
	for _, s := range records {
		rr, err := dns.NewRR(s)
		if err != nil {
			t.Fatal(err)
		}
		wire := make([]byte, 512)
		end, err := dns.PackRR(rr, wire, 0, nil, false)
		if err != nil {
			t.Fatal(err)
		}
		owner, _ := dns.PackDomainName(rr.Header().Name, make([]byte, 255), 0, nil, false)
		a.Name, a.Bailiwick, a.Type, a.Class = wire[:owner], wire[:owner], rr.Header().Rrtype, rr.Header().Class
		a.Rdata = append(a.Rdata, wire[owner+10:end])
	}
	return a
}

func TestEveryTypeIsWritten(t *testing.T) {
	for name, p := range profiles {
		t.Run(name, func(t *testing.T) {
			a := aggregateOf(t, "www.example.com. A 192.0.2.1", "www.example.com. A 192.0.2.2")
			a.Bailiwick = a.Bailiwick[4:]
			got := Append(nil, p, 0xa1b2, a)
			got = Append(got, p, 0, aggregateOf(t, ". NS a.test."))
			got = Append(got, p, 0, aggregateOf(t, "test. MX 0 ."))
			for _, s := range nmsgtest.RRs {
				got = Append(got, p, math.MaxUint32, aggregateOf(t, s))
			}
			golden.Assert(t, string(got), name+".json")
		})
	}
}

// line has every member of both profiles. Rdata is a string or a list.
type line struct {
	RRName    string  `json:"rrname"`
	RRType    string  `json:"rrtype"`
	Rdata     any     `json:"rdata"`
	TimeFirst *uint32 `json:"time_first"`
	TimeLast  *uint32 `json:"time_last"`
	Count     *uint32 `json:"count"`
	Bailiwick *string `json:"bailiwick"`
	SensorID  *string `json:"sensor_id"`
}

// linesOf reads lines as a program does.
func linesOf(t testing.TB, b []byte) (all []line) {
	t.Helper()
	if len(b) > 0 {
		nmsgtest.CheckPlain(t, b)
	}
	for l := range bytes.Lines(b) {
		d := json.NewDecoder(bytes.NewReader(l))
		d.DisallowUnknownFields()
		var got line
		if err := d.Decode(&got); err != nil {
			t.Fatalf("%v in %q", err, l)
		}
		if _, err := d.Token(); err != io.EOF {
			t.Fatalf("more than an object in %q", l)
		}
		all = append(all, got)
	}
	return all
}

// texts returns the rdata of lines.
func texts(lines []line) (all []string) {
	for _, l := range lines {
		switch r := l.Rdata.(type) {
		case string:
			all = append(all, r)
		case []any:
			for _, text := range r {
				all = append(all, fmt.Sprint(text))
			}
		}
	}
	return all
}

// checkLines fails the test unless a program reads the aggregate from its lines.
func checkLines(t testing.TB, p Profile, a *rrset.Aggregate) {
	t.Helper()
	before := []byte("before\n")
	b, ok := bytes.CutPrefix(Append(before, p, 7, a), before)
	if !ok {
		t.Fatal("the buffer was changed")
	}
	lines := linesOf(t, b)
	var want []string
	for _, r := range a.Rdata {
		want = append(want, string(dnstext.AppendRdata(nil, a.Type, a.Class, r, dnstext.COF)))
	}
	if a.Class != dns.ClassINET || p == CIRCL && !isKnownToCIRCL(a.Type) {
		want = nil
	}
	if diff := cmp.Diff(want, texts(lines)); diff != "" {
		t.Errorf("rdata (-want +got):\n%s", diff)
	}
	for _, l := range lines {
		if want := string(dnstext.AppendName(nil, a.Name, dnstext.COF)); l.RRName != want || l.RRType != dnstext.Type(a.Type) {
			t.Errorf("%s %s, want %s %d", l.RRName, l.RRType, want, a.Type)
		}
		if *l.TimeFirst != a.TimeFirst || *l.TimeLast != a.TimeLast || *l.SensorID != "00000007" {
			t.Errorf("%+v of %+v", l, a)
		}
		if p == CIRCL {
			if l.Count != nil || l.Bailiwick != nil {
				t.Errorf("%+v has members that the importer must not see", l)
			}
		} else if *l.Count != a.Count || *l.Bailiwick != string(dnstext.AppendName(nil, a.Bailiwick, dnstext.COF)) {
			t.Errorf("%+v of %+v", l, a)
		}
	}
}

func TestHostileTextStaysInItsField(t *testing.T) {
	inputs := slices.Clone(nmsgtest.Hostile)
	for c := range 256 {
		inputs = append(inputs, string([]byte{'a', byte(c), 'b'}))
	}
	for _, s := range inputs {
		label := append([]byte{byte(len(s))}, s...)
		name := append(bytes.Clone(label), 0)
		for typ, rdata := range map[uint16][]byte{dns.TypeTXT: label, dns.TypeNS: name, dns.TypeURI: []byte("\x00\x00\x00\x00" + s),
			dns.TypeA: []byte(s), 65280: []byte(s)} {
			a := &rrset.Aggregate{RRset: rrset.RRset{Name: name, Bailiwick: name, Type: typ, Class: 1, Rdata: [][]byte{rdata, {}}},
				Sighting: rrset.Sighting{TimeLast: math.MaxUint32, Count: math.MaxUint32}}
			for _, p := range profiles {
				checkLines(t, p, a)
			}
		}
	}
}

func TestOnlyClassINIsWritten(t *testing.T) {
	a := aggregateOf(t, "a.test. CH TXT x")
	for _, p := range profiles {
		if got := Append(nil, p, 1, a); len(got) > 0 {
			t.Errorf("got %s", got)
		}
	}
}

// TestTypesThatCIRCLKnows compares with the importer's list of types: those of which dnstext has
// the same mnemonic.
func TestTypesThatCIRCLKnows(t *testing.T) {
	const list = `A NS MD MF CNAME SOA MB MG MR NULL WKS PTR HINFO MINFO MX TXT RP AFSDB X25 ISDN RT NSAP NSAP-PTR SIG KEY PX GPOS
		AAAA LOC NXT EID NIMLOC SRV ATMA NAPTR KX CERT A6 DNAME SINK OPT APL DS SSHFP IPSECKEY RRSIG NSEC DNSKEY DHCID NSEC3
		NSEC3PARAM TLSA SMIMEA Unassigned HIP NINFO RKEY TALINK CDS CDNSKEY OPENPGPKEY CSYNC ZONEMD SPF UINFO UID GID UNSPEC
		NID L32 L64 LP EUI48 EUI64 TKEY TSIG IXFR AXFR MAILB MAILA * URI CAA AVC DOA TA DLV Reserved`
	known := strings.Fields(list)
	n := 0
	for typ := range 1 << 16 {
		mnemonic := dnstext.Type(uint16(typ))
		got := isKnownToCIRCL(uint16(typ))
		if want := slices.Contains(known, mnemonic); got != want {
			t.Errorf("%s: %v, want %v", mnemonic, got, want)
		}
		if got {
			n++
		}
	}
	if n < 50 {
		t.Errorf("only %d types are known", n)
	}
}

func TestAppendAllocatesNothing(t *testing.T) {
	a := aggregateOf(t, `a.test. TXT "\"\\" "\000"`, `a.test. TXT "b"`)
	for name, p := range profiles {
		var b []byte
		if n := testing.AllocsPerRun(100, func() { b = Append(b[:0], p, 1, a) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	a := aggregateOf(b, "www.example.com. A 192.0.2.1", "www.example.com. A 192.0.2.2")
	for name, p := range profiles {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var line []byte
			for b.Loop() {
				line = Append(line[:0], p, 1, a)
			}
		})
	}
}

func FuzzAppend(f *testing.F) {
	for i, s := range nmsgtest.RRs {
		a := aggregateOf(f, s)
		f.Add(a.Name, a.Type, a.Rdata[0], uint32(i))
	}
	for _, s := range nmsgtest.Hostile {
		f.Add([]byte(s), uint16(dns.TypeTXT), []byte(s), uint32(math.MaxUint32))
	}
	f.Fuzz(func(t *testing.T, name []byte, typ uint16, rdata []byte, n uint32) {
		if len(name) > 255 || len(rdata) > math.MaxUint16 {
			return
		}
		a := &rrset.Aggregate{RRset: rrset.RRset{Name: name, Bailiwick: name, Type: typ, Class: 1, Rdata: [][]byte{rdata, name}},
			Sighting: rrset.Sighting{TimeFirst: n, TimeLast: n, Count: n}}
		for _, p := range profiles {
			checkLines(t, p, a)
		}
	})
}
