package nmsg

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	dnstap "github.com/dnstap/golang-dnstap"
	framestream "github.com/farsightsec/golang-framestream"
	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
	"github.com/dnstap-pdns/dnstap-pdns/transform/rrset"
)

// policies keep and zero the resolver, and let pass what the defaults drop.
func policies(t testing.TB) (all []*transform.Policy) {
	t.Helper()
	for _, keep := range []bool{false, true} {
		for _, resolution := range []time.Duration{time.Nanosecond, time.Second} {
			p, err := transform.NewPolicy(transform.Config{
				PairingTimeout: 50 * time.Millisecond, // so that queries expire
				Forwarded:      true, Unanswered: true, LocalServers: true,
				Rcodes: []uint8{0, 1, 2, 3, 4, 5}, KeepResolver: keep, KeepLookups: true, TimeResolution: resolution,
			})
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, p)
		}
	}
	return all
}

// captured passes the records of all captures of package transform to emit, for each policy.
func captured(t testing.TB, emit func(*transform.Record)) {
	t.Helper()
	for _, name := range []string{"unbound", "unbound-noout", "unbound-2", "unbound-3", "bind", "bind-2", "bind-fwd", "pdns", "pdns-2", "kresd"} {
		messages := captureOf(t, name)
		for _, p := range policies(t) {
			pairer := transform.NewPairer(transform.NewBudget(1 << 16))
			for _, m := range messages {
				pairer.Take(m, p, emit)
			}
			pairer.Finish(p, emit)
		}
	}
}

// captureOf reads a capture with the reference libraries.
func captureOf(t testing.TB, name string) (all []*transform.Message) {
	t.Helper()
	f, err := os.Open("../../transform/testdata/captures/" + name + ".fstrm")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	dec, err := framestream.NewDecoder(f, &framestream.DecoderOptions{ContentType: []byte("protobuf:dnstap.Dnstap")})
	if err != nil {
		t.Fatal(err)
	}
	for {
		b, err := dec.Decode()
		if err == io.EOF {
			return all
		}
		var d dnstap.Dnstap
		if err := errors.Join(err, proto.Unmarshal(b, &d)); err != nil {
			t.Fatal(err)
		}
		all = append(all, messageOf(d.Message))
	}
}

func messageOf(d *dnstap.Message) *transform.Message {
	m := &transform.Message{QueryTime: transform.NoTime, ResponseTime: transform.NoTime, Zone: d.QueryZone}
	switch d.GetType() {
	case dnstap.Message_RESOLVER_QUERY:
		m.Role, m.Wire = transform.ResolverQuery, d.QueryMessage
	case dnstap.Message_RESOLVER_RESPONSE:
		m.Role, m.Wire = transform.ResolverResponse, d.ResponseMessage
	case dnstap.Message_FORWARDER_QUERY:
		m.Role, m.Wire = transform.ForwarderQuery, d.QueryMessage
	case dnstap.Message_FORWARDER_RESPONSE:
		m.Role, m.Wire = transform.ForwarderResponse, d.ResponseMessage
	}
	if d.QueryTimeSec != nil {
		m.QueryTime, _ = transform.TimeOf(int64(d.GetQueryTimeSec()), d.GetQueryTimeNsec())
	}
	if d.ResponseTimeSec != nil {
		m.ResponseTime, _ = transform.TimeOf(int64(d.GetResponseTimeSec()), d.GetResponseTimeNsec())
	}
	if d.GetSocketProtocol() == dnstap.SocketProtocol_TCP {
		m.Transport = transform.TCP
	}
	server, _ := netip.AddrFromSlice(d.ResponseAddress)
	resolver, _ := netip.AddrFromSlice(d.QueryAddress)
	m.Server = netip.AddrPortFrom(server, uint16(d.GetResponsePort()))
	m.Resolver = netip.AddrPortFrom(resolver, uint16(d.GetQueryPort()))
	return m
}

// checkRoundTrips checks that the payload of a record is read as a record that has the same payload,
// for each type.
func checkRoundTrips(t testing.TB, d *Decoder, r *transform.Record) {
	t.Helper()
	for _, typ := range MessageTypes() {
		if !typ.Accepts(r) || !typ.carries(r) {
			continue
		}
		ids := IDs{Source: 1, Operator: 300, Group: 1 << 31}
		_, want, err := AppendPayload(nil, typ, ids, r)
		if err != nil {
			t.Fatal(err)
		}
		m, err := parsePayload(want.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		got, err := d.Record(&m)
		if err != nil {
			t.Fatalf("%v: %v: %+v in %x", typ, err, r, want.Bytes)
		}
		if m.IsRRset() {
			t.Errorf("%v is an RRset", typ)
		}
		checkCarried(t, typ, r, got)
		_, again, err := AppendPayload(nil, typ, m.IDs(), got)
		if err != nil || !bytes.Equal(again.Bytes, want.Bytes) || again.CRC != want.CRC {
			t.Fatalf("%v, %v: the payload of what was read differs:\n%x\n%x\n%+v\n%+v", typ, err, again.Bytes, want.Bytes, got, r)
		}
	}
}

// checkCarried compares a record that was read with the one that was written, without what the
// message type does not carry.
func checkCarried(t testing.TB, typ MessageType, written, read *transform.Record) {
	t.Helper()
	want, got := *written, *read
	want.Forwarded = false
	switch typ {
	case DNSQR:
		want.Zone, want.Transport = nil, transform.UDP
	case DNSObs:
		want.Server = netip.AddrPortFrom(want.Server.Addr(), dnsPort)
		want.Resolver, want.Zeroed = netip.AddrPortFrom(transform.ZeroAddr(want.Server.Addr()), 0), want.ID == 0
		want.HasQuery, want.Query, want.Transport = false, nil, transform.UDP
		want.QueryTime, want.ResponseTime = transform.NoTime, want.Time()
	case DNSTap:
		want.Zeroed = got.Zeroed
		want.Transport = min(want.Transport, transform.TCP)
		if want.HasResponse {
			want.HasQuery, want.Query = false, nil
		}
	}
	if want.HasResponse && want.ResponseTime == transform.NoTime {
		want.ResponseTime = want.Time()
	}
	if typ == DNSQR && want.HasQuery && want.QueryTime == transform.NoTime {
		want.QueryTime = want.ResponseTime
	}
	if typ == DNSQR && !want.HasQuery && want.QueryTime == want.ResponseTime {
		want.QueryTime = transform.NoTime
	}
	if len(want.Zone) == 0 {
		want.Zone, got.Zone = nil, nil
	}
	equal := cmp.Options{cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })}
	if diff := cmp.Diff(want, got, equal); diff != "" {
		t.Fatalf("%v (-written +read):\n%s", typ, diff)
	}
}

func TestRecordsOfCapturesAreReadAsTheyWere(t *testing.T) {
	var d Decoder
	n := map[bool]int{}
	captured(t, func(r *transform.Record) {
		n[r.HasResponse]++
		checkRoundTrips(t, &d, r)
	})
	if n[true] < 1000 || n[false] < 10 {
		t.Errorf("%v records", n)
	}
}

// exchange draws a query and its response, of which one may be missing, as a source has them.
func exchange(t *rapid.T) (all []*transform.Message) {
	server := rapid.SampledFrom([]string{"192.0.2.1:53", "[2001:db8::1]:5353", "[::ffff:192.0.2.1]:53", "198.51.100.7:65535"}).Draw(t, "server")
	resolver := rapid.SampledFrom([]string{"", "203.0.113.9:4321", "[2001:db8::9]:1", "0.0.0.0:0"}).Draw(t, "resolver")
	name := rapid.SampledFrom([]string{".", "a.", "wWw.eXample.COM.", "\\000\\255x\\.y.example.", "long-" + string(bytes.Repeat([]byte{'x'}, 50)) + ".example.net."}).Draw(t, "name")
	m := new(dns.Msg).SetQuestion(name, rapid.SampledFrom([]uint16{dns.TypeA, dns.TypeNS, dns.TypeTXT, dns.TypeANY, 65280}).Draw(t, "type"))
	m.RecursionDesired = rapid.Bool().Draw(t, "RD")
	if rapid.Bool().Draw(t, "EDNS") {
		m.SetEdns0(1232, true)
	}
	base := transform.Message{
		Transport: rapid.SampledFrom([]transform.Transport{transform.UDP, transform.TCP, transform.Encrypted}).Draw(t, "transport"),
		Server:    netip.MustParseAddrPort(server), QueryTime: transform.NoTime, ResponseTime: transform.NoTime,
	}
	if resolver != "" {
		base.Resolver = netip.MustParseAddrPort(resolver)
	}
	base.Zone = rapid.SampledFrom([][]byte{nil, {0}, []byte("\x07eXample\x03COM\x00"), []byte("\x05no")}).Draw(t, "zone")
	at := transform.Time(rapid.Int64Range(0, 1<<62).Draw(t, "time"))

	q := base
	q.Role, q.QueryTime = transform.ResolverQuery, at
	q.Wire, _ = m.Pack()
	if rapid.IntRange(0, 4).Draw(t, "query") > 0 {
		all = append(all, &q)
	}
	r := base
	r.Role, r.ResponseTime = transform.ResolverResponse, at+transform.Time(rapid.Int64Range(0, 1e9).Draw(t, "delay"))
	if rapid.Bool().Draw(t, "response has query time") {
		r.QueryTime = at
	}
	m.Response, m.Rcode, m.Authoritative, m.Compress = true, rapid.IntRange(0, 5).Draw(t, "rcode"), true, rapid.Bool().Draw(t, "compress")
	for _, section := range []*[]dns.RR{&m.Answer, &m.Ns} {
		for range rapid.IntRange(0, 3).Draw(t, "records") {
			rr, err := dns.NewRR(rapid.SampledFrom([]string{"wWw.Example.com. 1 A 192.0.2.1", "example.com. 5 NS A.example.com.",
				"example.com. 5 NSEC B.example.com. A", "a. 9 TXT \"Text\"", "x. 1 MX 1 Y.x.", "x. 1 SOA a. B. 1 2 3 4 5", "x. 1 TYPE65280 \\# 1 41"}).Draw(t, "record"))
			if err != nil {
				t.Fatal(err)
			}
			*section = append(*section, rr)
		}
	}
	wire, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	r.Wire = append(wire, make([]byte, rapid.IntRange(0, 2).Draw(t, "trailing"))...)
	if rapid.IntRange(0, 4).Draw(t, "answered") > 0 {
		all = append(all, &r)
	}
	return all
}

func TestGeneratedRecordsAreReadAsTheyWere(t *testing.T) {
	all := policies(t)
	var d Decoder
	records := 0
	rapid.Check(t, func(rt *rapid.T) {
		policy := rapid.SampledFrom(all).Draw(rt, "policy")
		p := transform.NewPairer(transform.NewBudget(16))
		emit := func(r *transform.Record) {
			records++
			checkRoundTrips(t, &d, r)
		}
		for _, m := range exchange(rt) {
			p.Take(m, policy, emit)
		}
		for _, m := range exchange(rt) { // at another time, so that a query may expire
			p.Take(m, policy, emit)
		}
		p.Finish(policy, emit)
	})
	if records < 50 {
		t.Errorf("only %d records", records)
	}
}

func TestWhatNoSensorWritesIsRefused(t *testing.T) {
	long := bytes.Repeat([]byte{1}, maxRecord)
	upper := bytes.Replace(response, []byte("www"), []byte("wWw"), 1)
	withOPT := append(bytes.Clone(response), 0, 0, 41, 4, 0xd0, 0, 0, 0, 0, 0, 0)
	withOPT[11] = 1
	edit := func(msg []byte, at int, to byte) func(*transform.Record) {
		return func(r *transform.Record) {
			b := bytes.Clone(msg)
			b[at] = to
			if &msg[0] == &query[0] {
				r.Query = b
			} else {
				r.Response = b
			}
		}
	}
	for name, change := range map[string]func(*transform.Record){
		"upper case": func(r *transform.Record) { r.Response = upper },
		"upper case, unanswered": func(r *transform.Record) {
			unanswered(r)
			r.Query = bytes.Replace(query, []byte("www"), []byte("wWw"), 1)
		},
		"OPT":                  func(r *transform.Record) { r.Response = withOPT },
		"octets after the end": func(r *transform.Record) { r.Response = append(bytes.Clone(response), 0) },
		"cut":                  func(r *transform.Record) { r.Response = response[:len(response)-1] },
		"empty":                func(r *transform.Record) { r.Response = []byte{} },
		"no question":          edit(response, 5, 0),
		"two questions":        edit(response, 5, 2),
		"QR=0 in the response": edit(response, 2, 0x04),
		"TC=1":                 edit(response, 2, 0x86),
		"RD=1":                 edit(response, 2, 0x85),
		"AD=1":                 edit(response, 3, 0x20),
		"CD=1":                 edit(response, 3, 0x10),
		"opcode":               edit(response, 2, 0xa4),
		"class CH":             edit(response, len(response)-1, 3),
		"AXFR":                 edit(response, len(response)-3, 252),
		"another ID":           edit(response, 1, 1),
		"another rcode":        edit(response, 3, 3),
		"QR=1 in the query":    edit(query, 2, 0x80),
		"RD=1 in the query":    edit(query, 2, 1),
		"records in the query": edit(query, 7, 1),
		"another question":     edit(query, 13, 'x'),
		"another type":         func(r *transform.Record) { r.Type = 2 },
		"another class":        func(r *transform.Record) { r.Class = 3 },
		"another name":         func(r *transform.Record) { r.Name = zone },
		"zeroed, but stated":   func(r *transform.Record) { r.Resolver = netip.MustParseAddrPort("203.0.113.1:1") },
		"before 1970":          func(r *transform.Record) { r.QueryTime = -1 },
	} {
		t.Run(name, func(t *testing.T) {
			var d Decoder
			_, m, err := AppendMessage(nil, DNSQR, IDs{}, recordWith(change))
			if err != nil {
				t.Fatal(err)
			}
			if r, err := d.Record(&m); err == nil {
				t.Errorf("it is read as %+v", r)
			}
		})
	}
	zoned := func(zone []byte) func(*transform.Record) { return func(r *transform.Record) { r.Zone = zone } }
	for name, m := range map[string]Message{
		"dnsobs: zone in upper case": messageWith(t, DNSObs, zoned([]byte("\x03COM\x00"))),
		"dnstap: zone is no name":    messageWith(t, DNSTap, zoned([]byte("\x03com"))),
		"dnsobs: time":               {Vendor: 1, Type: NumberDNSObs, Data: written(t, "DnsObs", `time: 18446744073709551615 response_ip: "abcd" qname: "" qtype: 1 qclass: 1 rcode: 0`)},
		"dnsqr: required only":       {Vendor: 1, Type: NumberDNSQR, Data: written(t, "DnsQR", requiredOfDNSQR)},
		"dnsqr: port":                {Vendor: 1, Type: NumberDNSQR, Data: append(written(t, "DnsQR", requiredOfDNSQR), written(t, "DnsQR", "response_port: 65589")...)},
		"dnsqr: too long":            {Vendor: 1, Type: NumberDNSQR, Data: append(written(t, "DnsQR", requiredOfDNSQR), long...)},
		"dnstap: empty":              {Vendor: 1, Type: NumberDNSTap},
		"dnstap: cut":                {Vendor: 1, Type: NumberDNSTap, Data: []byte("\x72\x05\x08")},
		"damaged":                    {Vendor: 1, Type: NumberDNSObs, Data: []byte{0x80}},
	} {
		var d Decoder
		if r, err := d.Record(&m); err == nil || errors.Is(err, ErrUnknownType) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

func messageWith(t testing.TB, typ MessageType, changes ...func(*transform.Record)) Message {
	t.Helper()
	_, m, err := AppendMessage(nil, typ, IDs{}, recordWith(changes...))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestUnknownTypesAreNeitherRecordsNorDamage(t *testing.T) {
	var d Decoder
	for _, m := range []Message{{}, {Vendor: VendorBase, Type: 1}, {Vendor: VendorSIE, Type: NumberDNSQR}, {Vendor: 1 << 31, Type: 1}} {
		if _, err := d.Record(&m); !errors.Is(err, ErrUnknownType) || m.IsRRset() {
			t.Errorf("%+v: %v", m, err)
		}
	}
}

func TestRRsetsAreReadAsTheyWere(t *testing.T) {
	var d Decoder
	table, err := rrset.NewTable(rrset.Limits{Window: time.Minute, MaxEntries: 1 << 16, MaxBytes: rrset.MinBytes, Insertions: true}, func(a *rrset.Aggregate) {
		want, m := dedupePayload(t, a)
		got, err := d.RRset(&m)
		if err != nil || !m.IsRRset() {
			t.Fatalf("%+v: %v", a, err)
		}
		written := *a
		if a.Event == rrset.Insertion {
			written.Count = 0
		}
		if diff := cmp.Diff(written, *got); diff != "" {
			t.Fatalf("(-written +read):\n%s", diff)
		}
		if _, again, err := AppendDNSDedupe(nil, m.IDs(), got); a.Event == rrset.Expiration && (err != nil || !bytes.Equal(again.Bytes, want.Bytes)) {
			t.Fatalf("%x, %v, want %x", again.Bytes, err, want.Bytes)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	v := rrset.NewVerifier(rrset.Config{Wait: time.Minute, MaxHeld: 1 << 20}, rrset.NewDelegations(nil, 1<<20))
	emitted := 0
	captured(t, func(r *transform.Record) {
		v.Take(r, 0, func(set *rrset.RRset, at transform.Time, source uint32) {
			emitted++
			second := uint32(at / 1e9)
			if err := table.Observe(set, rrset.Sighting{TimeFirst: second, TimeLast: second, Count: 1}, source, 0); err != nil {
				t.Fatal(err)
			}
		})
	})
	table.Flush()
	if emitted < 1000 {
		t.Errorf("only %d RRsets", emitted)
	}
}

func TestRRsetsThatNoTableEmitsAreRefused(t *testing.T) {
	for name, change := range map[string]func(*rrset.Aggregate){
		"upper case":              func(a *rrset.Aggregate) { a.Name = []byte("\x03wWw\x07example\x03com\x00") },
		"bailiwick in upper case": func(a *rrset.Aggregate) { a.Bailiwick = []byte("\x03COM\x00") },
		"no name":                 func(a *rrset.Aggregate) { a.Name = []byte("\x03ww") },
		"out of bailiwick":        func(a *rrset.Aggregate) { a.Bailiwick = []byte("\x03net\x00") },
		"within a label":          func(a *rrset.Aggregate) { a.Name, a.Bailiwick = []byte("\x04\x03com\x00"), []byte("\x03com\x00") },
		"no rdata":                func(a *rrset.Aggregate) { a.Rdata = nil },
		"class CH":                func(a *rrset.Aggregate) { a.Class = 3 },
		"OPT":                     func(a *rrset.Aggregate) { a.Type = dns.TypeOPT },
		"TSIG":                    func(a *rrset.Aggregate) { a.Type = dns.TypeTSIG },
		"A of 3 octets":           func(a *rrset.Aggregate) { a.Type, a.Rdata = dns.TypeA, [][]byte{{1, 2, 3}} },
		"NS in upper case":        func(a *rrset.Aggregate) { a.Type, a.Rdata = dns.TypeNS, [][]byte{[]byte("\x02NS\x00")} },
		"NS with a pointer":       func(a *rrset.Aggregate) { a.Type, a.Rdata = dns.TypeNS, [][]byte{{0xc0, 0}} },
		"SIG(0)":                  func(a *rrset.Aggregate) { a.Type, a.Rdata = dns.TypeSIG, [][]byte{make([]byte, 30)} },
		"not seen":                func(a *rrset.Aggregate) { a.Count = 0 },
		"times":                   func(a *rrset.Aggregate) { a.TimeFirst = a.TimeLast + 1 },
	} {
		a := aggregate()
		change(a)
		_, m := dedupePayload(t, a)
		var d Decoder
		if got, err := d.RRset(&m); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
	for name, data := range map[string][]byte{
		"type": written(t, "DnsDedupe", `rrname: "\x00" bailiwick: "\x00" rrtype: 65537 rrclass: 1 rrttl: 1 rdata: "abcd" time_first: 1 time_last: 1 count: 1 type: 1`),
		"zone": written(t, "DnsDedupe", `rrname: "\x00" bailiwick: "\x00" rrtype: 1 rrclass: 1 rrttl: 1 rdata: "abcd" time_first: 1 time_last: 1 count: 1 type: 3`),
		"cut":  {0x80}, "empty": nil, "too long": make([]byte, MaxSize+1),
	} {
		var d Decoder
		if got, err := d.RRset(&Message{Vendor: VendorSIE, Type: NumberDNSDedupe, Data: data}); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// samples are a message of each type.
func samples(t testing.TB) map[string]Message {
	all := map[string]Message{}
	for _, typ := range MessageTypes() {
		all[typ.String()] = messageWith(t, typ)
	}
	_, all["dnsdedupe"] = dedupePayload(t, aggregate())
	return all
}

func (d *Decoder) take(t testing.TB, m *Message) {
	var err error
	if m.IsRRset() {
		_, err = d.RRset(m)
	} else {
		_, err = d.Record(m)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestDecoderAllocatesNothing(t *testing.T) {
	for name, m := range samples(t) {
		var d Decoder
		d.take(t, &m)
		if n := testing.AllocsPerRun(100, func() { d.take(t, &m) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkDecoder(b *testing.B) {
	for name, m := range samples(b) {
		b.Run(name, func(b *testing.B) {
			var d Decoder
			b.ReportAllocs()
			for b.Loop() {
				d.take(b, &m)
			}
		})
	}
}

func TestSingleReaderTakesExactlyOneContainer(t *testing.T) {
	c := sealed(payloadsOf(t, 4), seqID, 77)
	var s SingleReader
	for name, b := range map[string][]byte{"plain": c, "deflated": deflated(t, c)} {
		if err := s.Open(b); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if id, number, ok := s.Sequence(); id != seqID || number != 77 || !ok {
			t.Errorf("%s: sequence %d, %d, %v", name, id, number, ok)
		}
		n := 0
		for _, err := s.Next(); err != io.EOF; _, err = s.Next() {
			if n++; err != nil {
				t.Fatal(err)
			}
		}
		if n != 4 {
			t.Errorf("%s: %d messages", name, n)
		}
	}
	for name, b := range map[string][]byte{
		"nothing": nil, "text": []byte("a message that is not NMSG"), "cut": c[:len(c)-1], "two": slices.Concat(c, c),
		"a byte more": append(bytes.Clone(c), 0), "a fragment": cut(c, MinSize, 1)[0],
		"too long": sealed(payloadsOf(t, 600, responseOf(2000)), seqID, 0),
		"no body":  []byte("NMSG\x00\x02\x00\x00\x00\x01\x80"),
		"a length": []byte("NMSG\x00\x02\xff\xff\xff\xff"),
	} {
		if err := s.Open(b); err == nil {
			t.Errorf("%s: opened", name)
		}
		if _, err := s.Next(); err != io.EOF {
			t.Errorf("%s: a message: %v", name, err)
		}
		if _, _, ok := s.Sequence(); ok {
			t.Errorf("%s: a sequence", name)
		}
	}
	if err := s.Open(sealed(payloadsOf(t, 1), 0, 1)); err != nil {
		t.Fatal(err)
	}
	if _, _, ok := s.Sequence(); ok {
		t.Error("the sequence id 0 identifies a writer")
	}
}
