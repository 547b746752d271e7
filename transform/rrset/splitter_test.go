package rrset

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire/wiretest"
)

// split returns the RRsets of a message as text, a line for each record, and false if Split refuses it.
func split(s *Splitter, msg []byte) (lines []string, ok bool) {
	r, ok := s.Split(msg)
	if !ok {
		return nil, false
	}
	for section, rrsets := range r.Sections {
		for _, x := range rrsets {
			for _, rdata := range x.Rdata {
				lines = append(lines, fmt.Sprintf("%d %x %d %d %d %x", section, x.Name, x.Type, x.Class, x.TTL, rdata))
			}
		}
	}
	return lines, true
}

// expected does the same with miekg/dns and by comparing every record with all others.
func expected(tb testing.TB, msg []byte) (lines []string) {
	var m dns.Msg
	if err := m.Unpack(msg); err != nil {
		tb.Fatal(err)
	}
	type key struct {
		name       string
		typ, class uint16
	}
	for section, all := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		all = slices.DeleteFunc(all, func(r dns.RR) bool { return r.Header().Rrtype == dns.TypeOPT })
		keyOf := func(r dns.RR) key {
			return key{strings.ToLower(r.Header().Name), r.Header().Rrtype, r.Header().Class}
		}
		var seen []key
		for _, first := range all {
			k := keyOf(first)
			if slices.Contains(seen, k) {
				continue
			}
			seen = append(seen, k)
			ttl, rdata := uint32(1<<32-1), [][]byte(nil)
			for _, r := range all {
				if keyOf(r) != k {
					continue
				}
				ttl = min(ttl, r.Header().Ttl)
				if b := packedRdata(tb, r); !slices.ContainsFunc(rdata, func(x []byte) bool { return bytes.Equal(x, b) }) {
					rdata = append(rdata, b)
				}
			}
			for _, b := range rdata {
				lines = append(lines, fmt.Sprintf("%d %x %d %d %d %x", section, wireOf(tb, k.name), k.typ, k.class, ttl, b))
			}
		}
	}
	return lines
}

// packedRdata returns the uncompressed rdata of a record, with the names in lower case whose letter
// case does not matter (RFC 4034 section 6.2, RFC 6840 section 5.1).
func packedRdata(tb testing.TB, r dns.RR) []byte {
	tb.Helper()
	r = dns.Copy(r)
	low := func(names ...*string) {
		for _, n := range names {
			*n = strings.ToLower(*n)
		}
	}
	switch r := r.(type) {
	case *dns.NS:
		low(&r.Ns)
	case *dns.MD:
		low(&r.Md)
	case *dns.MF:
		low(&r.Mf)
	case *dns.MB:
		low(&r.Mb)
	case *dns.MG:
		low(&r.Mg)
	case *dns.MR:
		low(&r.Mr)
	case *dns.CNAME:
		low(&r.Target)
	case *dns.DNAME:
		low(&r.Target)
	case *dns.PTR:
		low(&r.Ptr)
	case *dns.SOA:
		low(&r.Ns, &r.Mbox)
	case *dns.MX:
		low(&r.Mx)
	case *dns.MINFO:
		low(&r.Rmail, &r.Email)
	case *dns.RP:
		low(&r.Mbox, &r.Txt)
	case *dns.AFSDB:
		low(&r.Hostname)
	case *dns.RT:
		low(&r.Host)
	case *dns.PX:
		low(&r.Map822, &r.Mapx400)
	case *dns.SRV:
		low(&r.Target)
	case *dns.NAPTR:
		low(&r.Replacement)
	case *dns.KX:
		low(&r.Exchanger)
	case *dns.RRSIG:
		low(&r.SignerName)
	case *dns.SIG:
		low(&r.SignerName)
	case *dns.NXT:
		low(&r.NextDomain)
	}
	b := make([]byte, dns.Len(r)+512)
	end, err := dns.PackRR(r, b, 0, nil, false)
	if err != nil {
		tb.Fatalf("%v: %v", r, err)
	}
	return b[dnswire.NameEnd(b, 0)+dnswire.FixedLen : end]
}

func wireOf(tb testing.TB, name string) []byte {
	tb.Helper()
	b, err := packLower(name)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestSplitAgreesWithAnotherParser(t *testing.T) {
	s := NewSplitter()
	messages := wiretest.RealMessages(t)
	for _, typ := range wiretest.KnownTypes() {
		m := new(dns.Msg)
		m.SetQuestion("Example.", typ)
		m.Response, m.Compress = true, true
		r := wiretest.SampleRR(t, typ)
		m.Answer, m.Ns = []dns.RR{r, dns.Copy(r)}, []dns.RR{r}
		wire, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		messages = append(messages, wire)
	}
	for _, msg := range messages {
		got, ok := split(s, msg)
		if want := expected(t, msg); !ok || !cmp.Equal(got, want) {
			t.Errorf("%x: ok %v, RRsets, want (-) and got (+):\n%s", msg, ok, cmp.Diff(want, got))
		}
	}
}

func TestSplitRemovesRepetitionsAndKeepsTheOrder(t *testing.T) {
	m := wiretest.New("example.com", dns.TypeA)
	a := func(owner string, last byte) { m.With(dnswire.Answer, owner, dns.TypeA, []byte{192, 0, 2, last}) }
	a("example.com", 3)
	a("other.example.com", 1)
	a("EXAMPLE.com", 1)
	a("example.com", 3)
	a("example.COM", 2)
	r, ok := NewSplitter().Split(m.Wire)
	if !ok || r.Len() != 2 {
		t.Fatalf("ok %v, %d RRsets", ok, r.Len())
	}
	want := [][]byte{{192, 0, 2, 3}, {192, 0, 2, 1}, {192, 0, 2, 2}}
	if got := r.Sections[dnswire.Answer][0].Rdata; !cmp.Equal(got, want) {
		t.Errorf("rdata %v, want %v", got, want)
	}
}

func TestSplitTakesTheLowestTTL(t *testing.T) {
	m := wiretest.New("example.com", dns.TypeA)
	for i, ttl := range []uint32{300, 60, 1<<32 - 1} {
		at := m.Record(dnswire.Answer, wiretest.Name("example.com"), dns.TypeA, []byte{192, 0, 2, byte(i)})
		binary.BigEndian.PutUint32(m.Wire[at-6:], ttl)
	}
	s := NewSplitter()
	if r, ok := s.Split(m.Wire); !ok || r.Sections[dnswire.Answer][0].TTL != 60 {
		t.Errorf("ok %v, %+v", ok, r.Sections)
	}
	if s.walker.Msg != nil {
		t.Error("the message is kept, which is only lent")
	}
}

func TestSplitRefusesWhatIsNotAResponseToOneQuestion(t *testing.T) {
	none := wiretest.New("example.com", dns.TypeA).Wire
	none = append(none[:dnswire.HeaderLen:dnswire.HeaderLen], none...)[:dnswire.HeaderLen]
	none[5] = 0
	s := NewSplitter()
	for _, msg := range [][]byte{nil, {1}, none} {
		if _, ok := s.Split(msg); ok {
			t.Errorf("%x was split", msg)
		}
	}
}

// TestLargestResponsesAreSplit covers rdata of nearly 64 KiB, the most records that fit, with one
// owner and with as many owners, and an RRset with a thousand rdata.
func TestLargestResponsesAreSplit(t *testing.T) {
	s := NewSplitter()
	big := wiretest.New("example.com", dns.TypeTXT).With(dnswire.Answer, "example.com", dns.TypeNULL, make([]byte, 65400))
	if r, ok := s.Split(big.Wire); !ok || len(r.Sections[dnswire.Answer][0].Rdata[0]) != 65400 {
		t.Error("large rdata")
	}
	for _, c := range []struct{ records, owners int }{{1000, 1}, {3200, 1}, {3200, 3200}} {
		m := wiretest.New("example.com", dns.TypeA)
		for i := range c.records {
			owner := append([]byte(fmt.Sprintf("\x03%03x", i%c.owners)), wiretest.PointTo(12)...)
			m.Record(dnswire.Answer, owner, dns.TypeA, []byte{192, 0, byte(i >> 8), byte(i)})
		}
		r, ok := s.Split(m.Wire)
		if !ok || r.Len() != c.owners || len(r.Sections[dnswire.Answer][0].Rdata) != c.records/c.owners {
			t.Errorf("%d records of %d owners: ok %v, %d RRsets", c.records, c.owners, ok, r.Len())
		}
	}
}

// TestSplitRefusesNamesThatExpandWithoutMeasure has many pointers to a long name.
func TestSplitRefusesNamesThatExpandWithoutMeasure(t *testing.T) {
	long := strings.Repeat(strings.Repeat("x", 59)+".", 4) + "example"
	m := wiretest.New(long, dns.TypeMX)
	for i := range 4000 {
		m.Record(dnswire.Answer, wiretest.PointTo(12), dns.TypeMX, append([]byte{byte(i >> 8), byte(i)}, wiretest.PointTo(12)...))
	}
	s := NewSplitter()
	if r, ok := s.Split(m.Wire[:len(m.Wire):len(m.Wire)]); !ok || len(r.Sections[dnswire.Answer][0].Rdata) != 4000 {
		t.Error("4,000 names of 248 octets")
	}
	m = wiretest.New(long, dns.TypeMX)
	for i := range 3000 {
		m.Record(dnswire.Answer, append([]byte{2, byte(i >> 8), byte(i)}, wiretest.PointTo(12)...), dns.TypeMX, append([]byte{byte(i >> 8), byte(i)}, wiretest.PointTo(12)...))
	}
	if _, ok := s.Split(m.Wire); ok {
		t.Error("6,000 names of 250 octets were split")
	}
	hip := append([]byte{0, 1, 0, 1, 0, 0}, bytes.Repeat(wiretest.PointTo(12), 300)...)
	m = wiretest.New(long, dns.TypeHIP).With(dnswire.Answer, "example", dns.TypeHIP, hip)
	if _, ok := s.Split(m.Wire); ok {
		t.Error("rdata of more than 64 KiB was split")
	}
	if cap(s.octets) > 2*maxOctets {
		t.Errorf("%d octets of scratch", cap(s.octets))
	}
}

// manyRRsets is a response with three sections and several RRsets.
func manyRRsets(tb testing.TB) []byte {
	r := reply{server: exampleServer, name: "www.example.com.", answer: "www.example.com. 60 A 192.0.2.80\nwww.example.com. 60 A 192.0.2.81",
		authority: "example.com. 60 NS ns1.example.com.\nexample.com. 60 NS ns2.example.com.", additional: "ns1.example.com. 60 A 192.0.2.1\nns2.example.com. 60 A 192.0.2.1"}
	return r.record(tb).Response
}

func TestSplitAllocatesNothing(t *testing.T) {
	s, msg := NewSplitter(), manyRRsets(t)
	if n := testing.AllocsPerRun(100, func() { s.Split(msg) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkSplit(b *testing.B) {
	s, msg := NewSplitter(), manyRRsets(b)
	b.ReportAllocs()
	for b.Loop() {
		s.Split(msg)
	}
}

// FuzzSplit compares the RRsets of any message with the records that it consists of.
func FuzzSplit(f *testing.F) {
	for _, msg := range wiretest.RealMessages(f) {
		f.Add(msg)
	}
	s := NewSplitter()
	f.Fuzz(func(t *testing.T, msg []byte) {
		before := bytes.Clone(msg)
		r, ok := s.Split(msg)
		if !bytes.Equal(msg, before) {
			t.Fatal("the message was changed")
		}
		var w dnswire.Walker
		if wellFormed := w.Walk(msg); !ok {
			return
		} else if !wellFormed {
			t.Fatal("a malformed message was split")
		}
		records := 0
		for section, rrsets := range r.Sections {
			for i := range rrsets {
				x := &rrsets[i]
				records += len(x.Rdata)
				if !dnswire.IsName(x.Name) || dnswire.Lower(bytes.Clone(x.Name)) || x.Type == dns.TypeOPT || len(x.Rdata) == 0 || x.Bailiwick != nil {
					t.Errorf("section %d: %+v", section, x)
				}
				for j, rdata := range x.Rdata {
					if slices.ContainsFunc(x.Rdata[:j], func(other []byte) bool { return bytes.Equal(other, rdata) }) {
						t.Errorf("section %d: %+v has a repetition", section, x)
					}
				}
			}
		}
		if records > len(w.Records) || records == 0 && len(w.Records) > 1 {
			t.Errorf("%d of %d records", records, len(w.Records))
		}
	})
}
