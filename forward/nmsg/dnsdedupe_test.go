package nmsg

import (
	"bytes"
	"errors"
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/dnstap-pdns/dnstap-pdns/transform/rrset"
)

func aggregate() *rrset.Aggregate {
	return &rrset.Aggregate{
		RRset: rrset.RRset{Name: name, Type: 16, Class: 1, TTL: 3600, Bailiwick: zone,
			Rdata: [][]byte{{}, []byte("\x01a"), []byte("\x01b")}},
		Sighting: rrset.Sighting{TimeFirst: 1_700_000_000, TimeLast: 1_700_000_060, Count: 3},
		Event:    rrset.Expiration,
	}
}

// dedupePayload returns the aggregate as a reader reads it.
func dedupePayload(t testing.TB, a *rrset.Aggregate) (Payload, Message) {
	t.Helper()
	_, p, err := AppendDNSDedupe([]byte("before"), IDs{Source: 7}, a)
	if err != nil {
		t.Fatal(err)
	}
	messages := readWhole(t, sealed([]Payload{p}, seqID, 0))
	if len(messages) != 1 {
		t.Fatalf("%d messages", len(messages))
	}
	return p, messages[0]
}

func TestDNSDedupeIsWhatProtobufReads(t *testing.T) {
	a := aggregate()
	_, m := dedupePayload(t, a)
	if vendor, typ, ok := m.Name(); vendor != "SIE" || typ != "dnsdedupe" || !ok {
		t.Errorf("the message is %s:%s, %v", vendor, typ, ok)
	}
	if m.Sec != int64(a.TimeLast) || m.Nsec != 0 || m.Source != 7 {
		t.Errorf("%+v; want time_last and the source", m)
	}
	want := fields{
		"rrname": name, "rrtype": uint32(16), "rrclass": uint32(1), "rrttl": uint32(3600),
		"rdata": []any{[]byte{}, []byte("\x01a"), []byte("\x01b")}, "count": uint64(3),
		"time_first": uint32(1_700_000_000), "time_last": uint32(1_700_000_060), "type": int32(1), "bailiwick": zone,
	}
	if diff := cmp.Diff(want, readByOracle(t, "DnsDedupe", m.Data)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	a.Event = rrset.Insertion
	_, m = dedupePayload(t, a)
	if got := readByOracle(t, "DnsDedupe", m.Data)["type"]; got != int32(0) {
		t.Errorf("the type of an insertion is %v", got)
	}
}

func TestDNSDedupeOfAnySize(t *testing.T) {
	a := aggregate()
	a.TTL, a.Sighting = math.MaxUint32, rrset.Sighting{TimeFirst: 0, TimeLast: math.MaxUint32, Count: math.MaxUint32}
	for _, rdata := range [][][]byte{
		{bytes.Repeat([]byte{1}, math.MaxUint16)},
		slices.Repeat([][]byte{bytes.Repeat([]byte{1}, 255)}, 1000),
	} {
		a.Rdata = rdata
		_, m := dedupePayload(t, a)
		d, err := DecodeDNSDedupe(m.Data)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := d.Aggregate(); !ok || !cmp.Equal(got, *a, cmp.Comparer(bytes.Equal)) {
			t.Errorf("rdata of %d records: another aggregate was read, %v", len(rdata), ok)
		}
	}
	a.Rdata = slices.Repeat([][]byte{bytes.Repeat([]byte{1}, math.MaxUint16)}, 16)
	if b, _, err := AppendDNSDedupe([]byte("before"), IDs{}, a); !errors.Is(err, ErrTooBig) || string(b) != "before" {
		t.Errorf("%q, %v, want ErrTooBig", b, err)
	}
	a.Rdata[15] = a.Rdata[15][:math.MaxUint16-250]
	p, _ := dedupePayload(t, a)
	if n := len(sealed([]Payload{p}, math.MaxUint64, 0)); n > MaxSize || n < MaxSize-100 {
		t.Errorf("the largest container has %d bytes, want %d or little less", n, MaxSize)
	}
}

func TestDecodeDNSDedupeKeepsPresence(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       Dedupe
	}{
		{"nothing", ``, Dedupe{}},
		{"empty", `rrname: "" rdata: "" response: "" bailiwick: "" type: 0`,
			Dedupe{RRName: []byte{}, RData: [][]byte{{}}, Response: []byte{}, Bailiwick: []byte{}, Typed: true}},
		{"everything", `rrname: "n" rrtype: 1 rrclass: 2 rrttl: 3 rdata: ["a", "b"] count: 18446744073709551615 time_first: 4
			time_last: 5 type: 6 response_ip: "\xc0\x00\x02\x01" response: "r" bailiwick: "z" zone_time_first: 7 zone_time_last: 8`,
			Dedupe{Type: 6, Typed: true, Count: ptr(uint64(math.MaxUint64)), TimeFirst: ptr(uint32(4)), TimeLast: ptr(uint32(5)),
				ZoneTimeFirst: ptr(uint32(7)), ZoneTimeLast: ptr(uint32(8)), ResponseIP: server4.Addr(), Bailiwick: []byte("z"),
				RRName: []byte("n"), RRClass: ptr(uint32(2)), RRType: ptr(uint32(1)), RRTTL: ptr(uint32(3)),
				RData: [][]byte{[]byte("a"), []byte("b")}, Response: []byte("r")}},
	} {
		got, err := DecodeDNSDedupe(written(t, "DnsDedupe", tc.text))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tc.want, got, cmp.Comparer(compareAddrs)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

func TestOnlySightingsInResponsesAreAggregates(t *testing.T) {
	const whole = `rrname: "\x00" bailiwick: "\x00" rrtype: 1 rrclass: 1 rrttl: 3 rdata: "abcd" count: 5000000000 time_first: 4 time_last: 5 `
	for text, want := range map[string]rrset.Aggregate{
		whole + `type: 0`: {Sighting: rrset.Sighting{TimeFirst: 4, TimeLast: 5, Count: 0}, Event: rrset.Insertion},
		whole + `type: 1`: {Sighting: rrset.Sighting{TimeFirst: 4, TimeLast: 5, Count: math.MaxUint32}, Event: rrset.Expiration},
		whole + `type: 4`: {Sighting: rrset.Sighting{TimeFirst: 4, TimeLast: 5, Count: math.MaxUint32}, Event: rrset.Expiration},
		whole + `type: 6`: {Sighting: rrset.Sighting{TimeFirst: 4, TimeLast: 5, Count: 0}, Event: rrset.Insertion},
	} {
		d, err := DecodeDNSDedupe(written(t, "DnsDedupe", text))
		if err != nil {
			t.Fatal(err)
		}
		want.RRset = rrset.RRset{Name: []byte{0}, Bailiwick: []byte{0}, Type: 1, Class: 1, TTL: 3, Rdata: [][]byte{[]byte("abcd")}}
		got, ok := d.Aggregate()
		if diff := cmp.Diff(want, got); diff != "" || !ok {
			t.Errorf("%s: %v (-want +got):\n%s", text, ok, diff)
		}
	}
	for _, text := range []string{``, whole + `type: 2`, whole + `type: 3`, whole + `type: 5`, whole + `type: 7`,
		`rrname: "\x00" bailiwick: "\x00" rrtype: 1 rrclass: 1 rrttl: 3 rdata: "abcd" type: 1 time_first: 4`} {
		d, err := DecodeDNSDedupe(written(t, "DnsDedupe", text))
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := d.Aggregate(); ok {
			t.Errorf("%s is %+v", text, got)
		}
	}
}

func TestDecodeDNSDedupeRefuses(t *testing.T) {
	for text, b := range map[string][]byte{
		"dnsdedupe: protobuf: unexpected EOF":                      {0x80},
		"dnsdedupe: field 1: protobuf: unexpected EOF":             {0x0a, 5, 1},
		"dnsdedupe: field 14: an address of 3 bytes: want 4 or 16": written(t, "DnsDedupe", `response_ip: "abc"`),
	} {
		if _, err := DecodeDNSDedupe(b); err == nil || err.Error() != text {
			t.Errorf("got %v, want %s", err, text)
		}
	}
}

// TestATableMergesWhatAnotherWrote sends the expirations of two tables to a third.
func TestATableMergesWhatAnotherWrote(t *testing.T) {
	limits := rrset.Limits{Window: time.Minute, MaxEntries: 10, MaxBytes: rrset.MinBytes, Insertions: true}
	var got []rrset.Aggregate
	third, err := rrset.NewTable(limits, func(a *rrset.Aggregate) { got = append(got, *a) })
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint32(2) {
		sensor, err := rrset.NewTable(limits, func(a *rrset.Aggregate) {
			_, m := dedupePayload(t, a)
			d, err := DecodeDNSDedupe(m.Data)
			if err != nil {
				t.Fatal(err)
			}
			again, ok := d.Aggregate()
			if !ok {
				t.Fatalf("%+v is no aggregate", d)
			}
			if err := third.Observe(&again.RRset, again.Sighting, 0, 0); err != nil {
				t.Fatal(err)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		a := aggregate()
		for range 5 {
			if err := sensor.Observe(&a.RRset, rrset.Sighting{TimeFirst: 10 + i, TimeLast: 20 + i, Count: 1}, 0, 0); err != nil {
				t.Fatal(err)
			}
		}
		sensor.Flush()
	}
	third.Flush()
	want := rrset.Sighting{TimeFirst: 10, TimeLast: 21, Count: 10}
	if len(got) != 2 || got[0].Event != rrset.Insertion || got[1].Event != rrset.Expiration || got[1].Sighting != want {
		t.Errorf("got %+v, want an insertion and an expiration with %+v", got, want)
	}
}

func TestAppendDNSDedupeAllocatesNothing(t *testing.T) {
	a := aggregate()
	var b []byte
	if n := testing.AllocsPerRun(100, func() {
		var err error
		if b, _, err = AppendDNSDedupe(b[:0], IDs{Source: 1}, a); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAppendDNSDedupe(b *testing.B) {
	a := aggregate()
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf, _, _ = AppendDNSDedupe(buf[:0], IDs{Source: 1}, a)
	}
}

// FuzzDecodeDNSDedupe compares the decoder with the protobuf library; only the decoder checks the
// length of addresses. What a table can merge is written and read again as the same.
func FuzzDecodeDNSDedupe(f *testing.F) {
	_, m := dedupePayload(f, aggregate())
	f.Add(m.Data)
	f.Add([]byte("\x72\x04abcd\x7a\x00\x88\x01\x01\x90\x01\x02\x68\x03"))
	f.Add([]byte{0x80})
	empty := oracle(f, "DnsDedupe")
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := DecodeDNSDedupe(b)
		m := empty.New()
		if oracleErr := proto.Unmarshal(b, m.Interface()); oracleErr != nil {
			if err == nil {
				t.Fatalf("taken, but: %v", oracleErr)
			}
			return
		}
		if err != nil {
			return // an address
		}
		if diff := cmp.Diff(oracleFields(m), dedupeFields(&d)); diff != "" {
			t.Errorf("(-protobuf +got):\n%s", diff)
		}
		if a, ok := d.Aggregate(); ok {
			_, again := dedupePayload(t, &a)
			d, err := DecodeDNSDedupe(again.Data)
			if err != nil {
				t.Fatal(err)
			}
			if got, ok := d.Aggregate(); !ok || !cmp.Equal(a, got, cmp.Comparer(bytes.Equal)) {
				t.Errorf("%+v is read as %+v, %v", a, got, ok)
			}
		}
	})
}

func dedupeFields(d *Dedupe) fields {
	f := fields{}
	if d.Typed {
		f["type"] = int32(d.Type)
	}
	if d.Count != nil {
		f["count"] = *d.Count
	}
	for name, v := range map[string]*uint32{"time_first": d.TimeFirst, "time_last": d.TimeLast, "zone_time_first": d.ZoneTimeFirst,
		"zone_time_last": d.ZoneTimeLast, "rrtype": d.RRType, "rrclass": d.RRClass, "rrttl": d.RRTTL} {
		if v != nil {
			f[name] = *v
		}
	}
	for name, v := range map[string][]byte{"rrname": d.RRName, "bailiwick": d.Bailiwick, "response": d.Response} {
		if v != nil {
			f[name] = v
		}
	}
	if d.ResponseIP.IsValid() {
		f["response_ip"] = d.ResponseIP.AsSlice()
	}
	list(f, "rdata", d.RData)
	return f
}

// TestDNSDedupeOfATableConverts observes RRsets that are often malformed, as they may come from
// elsewhere, and checks for what the table took what dnstable_convert requires. It ends at the
// first message that lacks it.
func TestDNSDedupeOfATableConverts(t *testing.T) {
	named := map[uint16]int{2: 0, 5: 0, 39: 0, 12: 0, 15: 2, 33: 6} // types by the offset of the name that it indexes
	rapid.Check(t, func(rt *rapid.T) {
		table, err := rrset.NewTable(rrset.Limits{Window: time.Minute, MaxEntries: 100, MaxBytes: rrset.MinBytes}, func(a *rrset.Aggregate) {
			_, m := dedupePayload(t, a)
			got := readByOracle(t, "DnsDedupe", m.Data)
			rdata := got["rdata"].([]any)
			if !isWholeName(got["rrname"].([]byte)) || !isWholeName(got["bailiwick"].([]byte)) || len(rdata) == 0 {
				rt.Errorf("%v", got)
			}
			for i := range rdata {
				r := rdata[i].([]byte)
				if i > 0 {
					before := rdata[i-1].([]byte)
					if len(before) > len(r) || len(before) == len(r) && bytes.Compare(before, r) >= 0 {
						rt.Errorf("%x before %x", before, r)
					}
				}
				if offset, ok := named[a.Type]; ok && len(r) > offset && !isWholeName(r[offset:]) {
					rt.Errorf("type %d, rdata %x", a.Type, r)
				}
			}
		})
		if err != nil {
			rt.Fatal(err)
		}
		some := rapid.OneOf(
			rapid.SampledFrom([][]byte{{0}, name, zone, []byte("\x04\x03com\x00"), []byte("\x01\x03com\x00")}),
			rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 2, 'a', 0xc0}), 0, 9),
		)
		for range 20 {
			set := rrset.RRset{Name: some.Draw(rt, "name"), Type: rapid.SampledFrom(slices.Sorted(maps.Keys(named))).Draw(rt, "type"),
				Class: 1, Bailiwick: some.Draw(rt, "bailiwick")}
			for range rapid.IntRange(0, 3).Draw(rt, "records") {
				set.Rdata = append(set.Rdata, slices.Concat(make([]byte, named[set.Type]), some.Draw(rt, "rdata")))
			}
			if err := table.Observe(&set, rrset.Sighting{}, 0, 0); err != nil && !errors.Is(err, rrset.ErrMalformed) {
				rt.Fatal(err)
			}
		}
		table.Flush()
	})
}

// isWholeName reports whether b is exactly one uncompressed name, as miekg/dns reads it.
func isWholeName(b []byte) bool {
	text, end, err := dns.UnpackDomainName(b, 0)
	if err != nil || end != len(b) {
		return false
	}
	wire := make([]byte, 256)
	n, err := dns.PackDomainName(text, wire, 0, nil, false)
	return err == nil && bytes.Equal(wire[:n], b)
}
