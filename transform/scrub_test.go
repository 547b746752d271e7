package transform

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

// sameAnswer compares the scrubbed response with what miekg/dns reads from the input, without
// OPT and the removed RRsets, and in canonical letter case. It reports whether miekg/dns could
// read the input.
func sameAnswer(t *testing.T, in, out []byte, edits ...Edit) bool {
	t.Helper()
	var want, got dns.Msg
	if want.Unpack(in) != nil {
		return false
	}
	if err := got.Unpack(out); err != nil {
		t.Errorf("what leaves does not parse: %v\n% x", err, out)
		return false
	}
	want.Id = 0
	want.RecursionDesired, want.Zero, want.AuthenticatedData, want.CheckingDisabled = false, false, false, false
	want.Rcode &= dnswire.MaskRcode
	for i := range want.Question {
		want.Question[i].Name = lowered(want.Question[i].Name)
	}
	if diff := cmp.Diff(want.MsgHdr, got.MsgHdr); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want.Question, got.Question); diff != "" {
		t.Errorf("question (-want +got):\n%s", diff)
	}
	removeRRsets(t, &want, in, edits)
	for i, section := range [][2][]dns.RR{{want.Answer, got.Answer}, {want.Ns, got.Ns}, {want.Extra, got.Extra}} {
		if diff := cmp.Diff(canonical(t, section[0]), canonical(t, section[1])); diff != "" {
			t.Errorf("section %d (-want +got):\n%s\n% x\n% x", i, diff, in, out)
		}
	}
	return true
}

// removeRRsets removes from a message what RRsetRemoved removed, which must be whole RRsets.
func removeRRsets(t *testing.T, m *dns.Msg, wire []byte, edits []Edit) {
	t.Helper()
	gone := map[int]bool{} // offsets of records
	for _, e := range edits {
		if e.Rule == RRsetRemoved {
			gone[e.From] = true
		}
	}
	if len(gone) == 0 {
		return
	}
	off := dnswire.HeaderLen
	for range m.Question {
		_, end, err := dns.UnpackDomainName(wire, off)
		if err != nil {
			t.Fatal(err)
		}
		off = end + 4
	}
	for _, section := range []*[]dns.RR{&m.Answer, &m.Ns, &m.Extra} {
		var kept []dns.RR
		sets := map[string]bool{}
		for _, rr := range *section {
			typ := rr.Header().Rrtype
			if s, ok := rr.(*dns.RRSIG); ok {
				typ = s.TypeCovered
			}
			if s, ok := rr.(*dns.SIG); ok {
				typ = s.TypeCovered
			}
			set := fmt.Sprint(lowered(rr.Header().Name), typ)
			if was, seen := sets[set]; seen && was != gone[off] && typ != dns.TypeOPT {
				t.Errorf("an RRset was removed in part: %s", set)
			}
			sets[set] = gone[off]
			if !gone[off] {
				kept = append(kept, rr)
			}
			var err error
			if _, off, err = dns.UnpackRR(wire, off); err != nil {
				t.Fatal(err)
			}
		}
		*section = kept
	}
}

// canonical returns records uncompressed, and lowercased by type.
func canonical(t *testing.T, records []dns.RR) []string {
	t.Helper()
	var all []string
	for _, r := range records {
		if r.Header().Rrtype == dns.TypeOPT {
			continue
		}
		r = dns.Copy(r)
		r.Header().Name = lowered(r.Header().Name)
		if slices.Contains(wiretest.FoldedTypes, r.Header().Rrtype) {
			for i, name := range wiretest.NamesOf(r) {
				setName(r, i, lowered(name))
			}
		}
		buf := make([]byte, 70000)
		n, err := dns.PackRR(r, buf, 0, nil, false)
		if err != nil {
			all = append(all, r.String())
			continue
		}
		all = append(all, fmt.Sprintf("%s: %x", dns.Type(r.Header().Rrtype), buf[:n]))
	}
	return all
}

func lowered(name string) string {
	return strings.Map(func(c rune) rune {
		if 'A' <= c && c <= 'Z' {
			return c + 'a' - 'A'
		}
		return c
	}, name)
}

// withOPT returns a compressed message with an OPT after at records of additional.
func withOPT(tb testing.TB, at int, records []string) []byte {
	tb.Helper()
	m := new(dns.Msg)
	m.SetQuestion("WWW.Shop.Example.", dns.TypeA)
	m.Response, m.RecursionDesired, m.Compress = true, false, true
	m.Answer = []dns.RR{mustRR(tb, "WWW.Shop.Example. 60 IN CNAME Cdn.Other.Example.")}
	m.Ns = []dns.RR{mustRR(tb, "Other.Example. 60 IN NS NS1.Other.Example.")}
	for _, r := range records {
		m.Extra = append(m.Extra, mustRR(tb, r))
	}
	opt := new(dns.OPT)
	opt.Hdr.Name, opt.Hdr.Rrtype = ".", dns.TypeOPT
	opt.SetUDPSize(1232)
	opt.Option = []dns.EDNS0{
		&dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 24, Address: []byte{192, 0, 2, 0}},
		&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0102030405060708"},
		&dns.EDNS0_NSID{Code: dns.EDNS0NSID, Nsid: "6e7331"},
	}
	m.Extra = slices.Insert(m.Extra, at, dns.RR(opt))
	b, err := m.Pack()
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

var afterOPTRecords = []string{
	"NS1.Other.Example. 60 IN A 203.0.113.7",
	"Deep.NS2.Other.Example. 60 IN A 203.0.113.8",
	"Deep.NS2.Other.Example. 60 IN MX 10 Mail.Deep.NS2.Other.Example.",
	"Mail.Deep.NS2.Other.Example. 60 IN AAAA 2001:db8::8",
	"Host.Mail.Deep.NS2.Other.Example. 60 IN SRV 1 2 3 Mail.Deep.NS2.Other.Example.",
}

func TestOPTIsRemovedAtEveryPosition(t *testing.T) {
	p := scrubPolicy(t)
	for at := range len(afterOPTRecords) + 1 {
		t.Run(fmt.Sprintf("before %d records", len(afterOPTRecords)-at), func(t *testing.T) {
			in := withOPT(t, at, afterOPTRecords)
			out := mustScrub(t, p, in)
			if !sameAnswer(t, in, out) {
				t.Error("not read by miekg/dns")
			}
			if bytes.Contains(out, []byte{0, dns.EDNS0COOKIE, 0, 8}) || bytes.Contains(out, []byte("ns1\x00")) {
				t.Errorf("options are still there: % x", out)
			}
			if len(out) >= len(in) {
				t.Errorf("%d octets became %d", len(in), len(out))
			}
		})
	}
}

// TestPointersIntoRemovedOrChangedOctets has messages that must be rebuilt.
func TestPointersIntoRemovedOrChangedOctets(t *testing.T) {
	address := []byte{203, 0, 113, 7}
	option := func(value []byte) []byte {
		return append([]byte{0xfd, 0xe9, 0, byte(len(value))}, value...)
	}
	for name, build := range map[string]func(*wiretest.Message){
		"into an option": func(d *wiretest.Message) {
			at := d.Record(dnswire.Additional, []byte{0}, dns.TypeOPT, option(wiretest.Name("Www.Example.NET"))) + 4
			d.Record(dnswire.Additional, wiretest.PointTo(at), dns.TypeA, address)
		},
		"into OPT's owner": func(d *wiretest.Message) {
			at := len(d.Wire)
			d.Record(dnswire.Additional, wiretest.Name("OPT.Example.NET"), dns.TypeOPT, nil)
			d.Record(dnswire.Additional, append([]byte("\x01X"), wiretest.PointTo(at)...), dns.TypeA, address)
		},
		"to OPT's root": func(d *wiretest.Message) {
			at := len(d.Wire)
			d.Record(dnswire.Additional, []byte{0}, dns.TypeOPT, nil)
			d.Record(dnswire.Additional, append([]byte("\x01X"), wiretest.PointTo(at)...), dns.TypeA, address)
		},
		"into text": func(d *wiretest.Message) {
			at := d.Record(dnswire.Answer, wiretest.PointTo(dnswire.HeaderLen), dns.TypeTXT, charStrings("Text", string(wiretest.Name("Www.Example.NET"))))
			d.Record(dnswire.Answer, append([]byte("\x01X"), wiretest.PointTo(at+6)...), dns.TypeNS, wiretest.PointTo(at+6))
		},
		"into an address": func(d *wiretest.Message) {
			at := d.Record(dnswire.Answer, wiretest.PointTo(dnswire.HeaderLen), dns.TypeA, []byte{2, 'A', 'b', 0})
			d.Record(dnswire.Answer, wiretest.PointTo(at), dns.TypeA, address)
		},
		"into a label": func(d *wiretest.Message) {
			at := d.Record(dnswire.Answer, wiretest.PointTo(dnswire.HeaderLen), dns.TypeNS, wiretest.Name("\x02Ab\x01C"))
			d.Record(dnswire.Answer, wiretest.PointTo(at+1), dns.TypeNS, wiretest.PointTo(at+1))
		},
		"from a name of any case into one whose case is data": func(d *wiretest.Message) {
			at := d.Record(dnswire.Answer, wiretest.PointTo(dnswire.HeaderLen), dns.TypeNSEC, append(wiretest.Name("Next.Example.NET"), 0, 1, 0x40))
			d.Record(dnswire.Answer, append([]byte("\x01X"), wiretest.PointTo(at)...), dns.TypeNS, wiretest.PointTo(at+5))
		},
		"from a name whose case is data into one of any": func(d *wiretest.Message) {
			d.Record(dnswire.Answer, wiretest.PointTo(dnswire.HeaderLen), dns.TypeNSEC, append(append([]byte("\x04Next"), wiretest.PointTo(dnswire.HeaderLen)...), 0, 1, 0x40))
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := wiretest.New("Q.Example.NET", dns.TypeA)
			build(d)
			out := mustScrub(t, scrubPolicy(t), d.Wire)
			if !sameAnswer(t, d.Wire, out) {
				t.Error("not read by miekg/dns")
			}
			var w dnswire.Walker
			if !w.Walk(out) || w.PointsOutsideNames {
				t.Errorf("what leaves is as bad: % x", out)
			}
		})
	}
}

// TestCaseThatIsDataIsKept has an NSEC name that points into another.
func TestCaseThatIsDataIsKept(t *testing.T) {
	d := wiretest.New("Q.Example.NET", dns.TypeNSEC)
	at := d.Record(dnswire.Answer, wiretest.PointTo(dnswire.HeaderLen), dns.TypeNSEC, append(wiretest.Name("Next.Example.NET"), 0, 1, 0x40))
	d.Record(dnswire.Answer, wiretest.PointTo(dnswire.HeaderLen), dns.TypeNSEC, append(append([]byte("\x04More"), wiretest.PointTo(at)...), 0, 1, 0x40))
	out := mustScrub(t, scrubPolicy(t), d.Wire)
	sameAnswer(t, d.Wire, out)
	if len(out) != len(d.Wire) {
		t.Errorf("rebuilt: %d octets became %d", len(d.Wire), len(out))
	}
}

func TestRealMessagesKeepTheirRecords(t *testing.T) {
	p := scrubPolicy(t, func(c *Config) { c.SpecialNames, c.Forwarded, c.Resolvers = false, true, ownNetworks })
	kept, rebuilt := 0, 0
	var w dnswire.Walker
	var rw rewriter
	for _, in := range wiretest.RealMessages(t) {
		m := asResponse(in)
		if in[2]&0x80 == 0 {
			continue
		}
		record, reason := scrubOne(p, m)
		if record == nil {
			t.Logf("%v: % x", reason, in)
			continue
		}
		kept++
		if !sameAnswer(t, in, record.Response) {
			t.Errorf("miekg/dns does not read % x", in)
		}
		again, _ := scrubOne(p, asResponse(record.Response))
		if again == nil || !bytes.Equal(again.Response, record.Response) {
			t.Errorf("scrubbed twice it is another message:\n% x", record.Response)
		}
		if w.Walk(in) && rw.rebuild(&w) { // a rebuild is possible even if not necessary
			rebuilt++
			binary.BigEndian.PutUint16(rw.out, 0)
			binary.BigEndian.PutUint16(rw.out[2:], w.Flags&^cleared)
			sameAnswer(t, in, rw.out)
			if len(rw.out) > len(in) {
				t.Errorf("%d octets became %d", len(in), len(rw.out))
			}
		}
	}
	if kept < 25 || rebuilt != kept {
		t.Errorf("%d records, %d rebuilt", kept, rebuilt)
	}
}

func TestHeaderBits(t *testing.T) {
	p := scrubPolicy(t, func(c *Config) { c.Forwarded = true })
	for flags := range 1 << 16 {
		f := uint16(flags)
		if f&dnswire.FlagQR == 0 || f&dnswire.FlagTC != 0 || f&dnswire.MaskOpcode != 0 || f&dnswire.MaskRcode != 0 {
			continue
		}
		d := wiretest.New("q.example.net", dns.TypeA)
		binary.BigEndian.PutUint16(d.Wire[2:], f)
		out := mustScrub(t, p, d.Wire)
		const kept = 1<<15 | 1<<10 | 1<<7 // QR, AA, RA
		if got := binary.BigEndian.Uint16(out[2:]); got != f&kept {
			t.Errorf("%016b became %016b", f, got)
		}
	}
}

func TestOctetsAfterTheLastRecordAreCut(t *testing.T) {
	p := scrubPolicy(t)
	for _, in := range [][]byte{
		wiretest.New("q.example.net", dns.TypeA).Wire,
		wiretest.New("q.example.net", dns.TypeA).With(dnswire.Additional, "", dns.TypeOPT, nil).Wire,
		withOPT(t, 0, afterOPTRecords),
	} {
		want := mustScrub(t, p, in)
		got := mustScrub(t, p, append(slices.Clone(in), "www.univ.example 192.0.2.53"...))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestResolverAddressPortAndIDAreZeroUnlessKept(t *testing.T) {
	lane := NewPairer(NewBudget(8))
	in := wiretest.New("Q.Example.NET", dns.TypeA).With(dnswire.Additional, "", dns.TypeOPT, nil).Wire
	query := slices.Clone(wiretest.New("Q.Example.NET", dns.TypeA).Wire)
	query[2], query[3] = 0, 0x30 // Z, AD and CD as resolvers send them
	for _, tt := range []struct {
		keep bool
		want Record
	}{
		{false, Record{Zeroed: true}},
		{true, Record{ID: 0x1234}},
	} {
		p := scrubPolicy(t, func(c *Config) { c.KeepResolver = tt.keep })
		q, r := asResponse(query), asResponse(in)
		q.Role, q.ResponseTime = ResolverQuery, NoTime
		lane.Take(q, p, func(*Record) { t.Error("a query is a record") })
		records := 0
		lane.Take(r, p, func(got *Record) {
			records++
			wantAddr := "0.0.0.0:0"
			if tt.keep {
				wantAddr = "192.0.2.53:40000"
			}
			if got.Resolver.String() != wantAddr || got.ID != tt.want.ID || got.Zeroed != tt.want.Zeroed {
				t.Errorf("keep %v: resolver %v, ID %x, zeroed %v", tt.keep, got.Resolver, got.ID, got.Zeroed)
			}
			for _, wire := range [][]byte{got.Query, got.Response} {
				if id := binary.BigEndian.Uint16(wire); id != tt.want.ID {
					t.Errorf("keep %v: ID %x in % x", tt.keep, id, wire)
				}
			}
			wantQuery := append(slices.Clone(got.Response[:2]), wiretest.Unhex(t, "0000 0001 0000 0000 0000 0171 07 6578616d706c65 03 6e6574 00 0001 0001")...)
			if diff := cmp.Diff(wantQuery, got.Query); diff != "" {
				t.Errorf("query (-want +got):\n%s", diff)
			}
		})
		if records != 1 {
			t.Errorf("%d records", records)
		}
	}
}

// TestRebuildWouldGrowTooLong has names that must not be compressed.
func TestRebuildWouldGrowTooLong(t *testing.T) {
	long := strings.Repeat("abcdefg.", 30) + "example"
	build := func(n int) []byte {
		d := wiretest.New(long, dns.TypeSRV)
		d.Record(dnswire.Additional, []byte{0}, dns.TypeOPT, nil)
		for range n {
			d.Record(dnswire.Additional, wiretest.PointTo(dnswire.HeaderLen), dns.TypeSRV, append([]byte{0, 1, 0, 2, 0, 3}, wiretest.PointTo(dnswire.HeaderLen)...))
		}
		return d.Wire
	}
	p := scrubPolicy(t)
	for n := range 260 {
		in := build(n)
		grown := len(in) - 11 + n*(len(wiretest.Name(long))-2)
		record, reason := scrubOne(p, asResponse(in))
		if fits := grown <= dnswire.MaxMessage; fits != (reason == Kept) {
			t.Fatalf("%d octets: %v", grown, reason)
		}
		if record != nil && len(record.Response) != grown {
			t.Fatalf("got %d octets, want %d", len(record.Response), grown)
		}
	}
}

// TestRebuildBeyondCompression has names after offset 16,383 and more names than the table
// holds.
func TestRebuildBeyondCompression(t *testing.T) {
	for _, n := range []int{100, 600, 1000} {
		d := wiretest.New("q.example.net", dns.TypeNS)
		d.Record(dnswire.Additional, []byte{0}, dns.TypeOPT, nil)
		for i := range n {
			d.With(dnswire.Additional, fmt.Sprintf("Host%d.Zone%d.Example.NET", i, i%50), dns.TypeNS, wiretest.Name(fmt.Sprintf("NS%d.Example.NET", i%300)))
		}
		out := mustScrub(t, scrubPolicy(t), d.Wire)
		if !sameAnswer(t, d.Wire, out) {
			t.Error("not read by miekg/dns")
		}
		if len(out) >= len(d.Wire)*3/4 {
			t.Errorf("%d records: %d octets became %d", n, len(d.Wire), len(out))
		}
	}
}

func plainAndRebuilt(tb testing.TB) map[string]*Message {
	return map[string]*Message{
		"plain":   asResponse(withOPT(tb, len(afterOPTRecords), afterOPTRecords)),
		"rebuild": asResponse(withOPT(tb, 0, afterOPTRecords)),
		"text":    asResponse(wiretest.New("q.example.net", dns.TypeTXT).With(dnswire.Answer, "q.example.net", dns.TypeTXT, charStrings("v=spf1 ip4:203.0.113.7 ip6:2001:db8::7", " include:spf.example.net -all")).Wire),
	}
}

func TestScrubAllocatesNothing(t *testing.T) {
	p := scrubPolicy(t)
	for name, m := range plainAndRebuilt(t) {
		lane := NewPairer(NewBudget(8))
		records := 0
		take := func() { lane.Take(m, p, func(*Record) { records++ }) }
		take()
		if n := testing.AllocsPerRun(100, take); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
		if records != 102 {
			t.Errorf("%s: %d records", name, records)
		}
	}
}

func BenchmarkScrub(b *testing.B) {
	p := scrubPolicy(b)
	for name, m := range plainAndRebuilt(b) {
		b.Run(name, func(b *testing.B) {
			lane := NewPairer(NewBudget(8))
			b.ReportAllocs()
			for b.Loop() {
				lane.Take(m, p, func(*Record) {})
			}
		})
	}
}

// TestScrubKeepsOrLowersCaseByType scrubs a record of every type.
func TestScrubKeepsOrLowersCaseByType(t *testing.T) {
	p := scrubPolicy(t)
	for _, typ := range wiretest.KnownTypes() {
		t.Run(dns.TypeToString[typ], func(t *testing.T) {
			in := wiretest.SampleRR(t, typ)
			out := mustScrub(t, p, wiretest.New("Q.Example", typ).With(dnswire.Answer, in.Header().Name, typ, wiretest.SampleRdata(t, typ)).Wire)
			var m dns.Msg
			if err := m.Unpack(out); err != nil {
				t.Fatal(err)
			}
			want := wiretest.NamesOf(in)
			if slices.Contains(wiretest.FoldedTypes, typ) {
				want = strings.Fields(strings.ToLower(strings.Join(want, " ")))
			}
			if diff := cmp.Diff(want, wiretest.NamesOf(m.Answer[0])); diff != "" {
				t.Errorf("names (-want +got):\n%s", diff)
			}
			if m.Answer[0].Header().Name != "owner.example." || m.Question[0].Name != "q.example." {
				t.Errorf("owner %s, question %s", m.Answer[0].Header().Name, m.Question[0].Name)
			}
		})
	}
}
