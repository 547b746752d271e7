package dnswire

import (
	"fmt"
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire/wiretest"
)

// TestLayoutsFindTheNamesThatMiekgKnows goes through every type that miekg/dns has.
func TestLayoutsFindTheNamesThatMiekgKnows(t *testing.T) {
	withNames := 0
	for _, typ := range wiretest.KnownTypes() {
		t.Run(dns.TypeToString[typ], func(t *testing.T) {
			d := wiretest.New("q.example", typ)
			d.Record(Answer, wiretest.Name("Owner.Example"), typ, wiretest.SampleRdata(t, typ))
			var w Walker
			if !w.Walk(d.Wire) {
				t.Fatalf("malformed: % x", d.Wire)
			}
			want := wiretest.NamesOf(wiretest.SampleRR(t, typ))
			if diff := cmp.Diff(want, walkedNames(t, &w, w.Records[0])); diff != "" {
				t.Errorf("names (-want +got):\n%s", diff)
			}
			if len(want) > 0 {
				withNames++
			}
			compareMessage(t, &w)
		})
	}
	if withNames < 30 {
		t.Errorf("only %d types with names", withNames)
	}
}

// kindsOf returns a type's layout according to the struct of miekg/dns. Kinds that Fields
// treats alike have one letter: all names n, all numbers of two octets 2, and octets to the
// end z.
func kindsOf(t *testing.T, typ uint16) string {
	v := reflect.TypeOf(dns.TypeToRR[typ]()).Elem()
	if v.Field(0).Name != "Hdr" {
		v = v.Field(0).Type // RRSIG in SIG, SVCB in HTTPS
	}
	var all strings.Builder
	for i := 1; i < v.NumField(); i++ {
		field := v.Field(i)
		tag, _, _ := strings.Cut(field.Tag.Get("dns"), ":")
		switch {
		case strings.HasSuffix(field.Name, "Length") && strings.HasPrefix(v.Field(i+1).Tag.Get("dns"), "size-"):
			all.WriteByte('p')
			i++
		case strings.HasSuffix(tag, "domain-name"):
			all.WriteByte('n')
		case tag == "txt":
			all.WriteByte('S')
		case tag == "nsec", tag == "hex", tag == "base64", tag == "octet", tag == "any":
			all.WriteByte('z')
		case tag == "pairs":
			all.WriteByte('P')
		case tag == "a":
			all.WriteByte('a')
		case tag == "aaaa":
			all.WriteByte('A')
		case tag == "uint48":
			all.WriteByte('e')
		case field.Type.Kind() == reflect.String:
			all.WriteByte('s')
		case field.Type.Kind() == reflect.Uint8:
			all.WriteByte('1')
		case field.Type.Kind() == reflect.Uint16:
			all.WriteByte('2')
		case field.Type.Kind() == reflect.Uint32:
			all.WriteByte('4')
		case field.Type.Kind() == reflect.Uint64:
			all.WriteByte('E')
		default:
			t.Fatalf("%s: no letter for field %s %q", dns.Type(typ), field.Name, field.Tag)
		}
	}
	return all.String()
}

// TestLayoutsAgreeWithMiekg compares the fields of every type in the table with those of
// miekg/dns, and reads a sample of it to the end.
func TestLayoutsAgreeWithMiekg(t *testing.T) {
	same := strings.NewReplacer("N", "n", "t", "2", "g", "s", "h", "p", "X", "z", "B", "z", "b", "z", "Q", "z", "x", "z")
	compared := 0
	for n, l := range layouts {
		typ := uint16(n)
		if l.fields == "" || typ == typeWKS || typ == typeA6 { // miekg/dns does not know these
			continue
		}
		if typ != typeHIP && !(l.generic && l.fields == "z") {
			compared++
			if got, want := same.Replace(string(l.fields)), kindsOf(t, typ); got != want {
				t.Errorf("%s: %s, miekg/dns has %s", dns.Type(typ), got, want)
			}
		}
		rdata := wiretest.SampleRdata(t, typ)
		for _, layout := range []Layout{l.fields, coarseOf(typ, rdata)} {
			msg := append([]byte("before"), append(rdata, "after"...)...)
			f := layout.Fields(msg, len("before"), len("before")+len(rdata))
			read := 0
			for f.Next() {
				if read += f.End - f.Start; len(f.Data()) > f.End-f.Start {
					t.Errorf("%s: %d octets of a field from %d to %d", dns.Type(typ), len(f.Data()), f.Start, f.End)
				}
			}
			if f.Malformed || f.HasOctets() || read != len(rdata) {
				t.Errorf("%s %q: malformed %v, %d of %d octets", dns.Type(typ), layout, f.Malformed, read, len(rdata))
			}
		}
	}
	if compared < 45 {
		t.Errorf("only %d types", compared)
	}
}

func TestFieldsGiveTheirData(t *testing.T) {
	for _, tt := range []struct {
		layout, rdata string
		want          []string // a Kind and octets in hexadecimal digits
	}{
		{"112phb", "01 00 000a 02abcd 01ff 0001 40", []string{"1 01", "1 00", "2 000a", "p abcd", "h ff", "b 000140"}},
		{"cn", "40 0000000000000001 016100", []string{"c 400000000000000001", "n 016100"}},
		{"cn", "00 20010db8000000000000000000000001", []string{"c 0020010db8000000000000000000000001"}},
		{"S", "0161 00", []string{"s 61", "s "}},
		{"1gQ", "00 0161 62", []string{"1 00", "g 61", "Q 62"}},
		{"nn44444", "016100", []string{"n 016100"}}, // presentation shows the fields that are present
	} {
		var got []string
		rdata := wiretest.Unhex(t, tt.rdata)
		f := Layout(tt.layout).Fields(rdata, 0, len(rdata))
		for f.HasOctets() && f.Next() {
			got = append(got, fmt.Sprintf("%c %x", f.Kind, f.Data()))
		}
		if diff := cmp.Diff(tt.want, got); diff != "" || f.Malformed {
			t.Errorf("%s %s: malformed %v (-want +got):\n%s", tt.layout, tt.rdata, f.Malformed, diff)
		}
	}
}

// TestLayoutsRefuseRdataOfAnotherLength cuts octets off every type's rdata, and adds one.
// Only layouts that end in arbitrary octets may accept rdata that miekg/dns refuses.
func TestLayoutsRefuseRdataOfAnotherLength(t *testing.T) {
	for _, typ := range wiretest.KnownTypes() {
		rdata := append(wiretest.SampleRdata(t, typ), 0)
		for n := range len(rdata) + 1 {
			if n == len(rdata)-1 {
				continue // well formed
			}
			d := wiretest.New("q.example", typ).With(Answer, "q.example", typ, rdata[:n])
			d.With(Answer, "q.example", dns.TypeA, []byte{198, 51, 100, 7}) // octets that miekg/dns reads if it continues after the rdata
			var w Walker
			var m dns.Msg
			if m.Unpack(d.Wire) == nil || !w.Walk(d.Wire) {
				continue
			}
			steps := coarseOf(typ, rdata[:n])
			if last := steps[len(steps)-1]; !strings.ContainsRune("xzPSHM", rune(last)) {
				t.Errorf("%s with %d octets of rdata instead of %d is well formed", dns.Type(typ), n, len(rdata)-1)
			}
		}
	}
}

// TestLayoutsOfNamesOnly: types that end in a name accept no other length of rdata.
func TestLayoutsOfNamesOnly(t *testing.T) {
	for typ, steps := range coarse {
		if typ == wiretest.TypeA6 || !strings.ContainsRune("nN", rune(steps[len(steps)-1])) {
			continue
		}
		rdata := wiretest.SampleRdata(t, uint16(typ))
		for _, broken := range [][]byte{rdata[:len(rdata)-1], append(slices.Clone(rdata), 0), {}} {
			var w Walker
			if w.Walk(wiretest.New("q", 1).With(Answer, "q", uint16(typ), broken).Wire) {
				t.Errorf("%s: % x is well formed", dns.Type(typ), broken)
			}
		}
	}
}

func TestLayoutsLowercaseTheTypesOfRFC4034(t *testing.T) {
	var got []uint16
	for typ, steps := range coarse {
		if strings.Contains(string(steps), "n") || typ == wiretest.TypeA6 {
			got = append(got, uint16(typ))
		}
	}
	want := slices.Sorted(slices.Values(wiretest.FoldedTypes))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("types whose names are lowercased (-want +got):\n%s", diff)
	}
}

func TestLayoutOfA6(t *testing.T) {
	for bits := range 130 {
		n := (128 - bits + 7) / 8
		rdata := append([]byte{byte(bits)}, make([]byte, max(n, 0))...)
		wantNames := 0
		if bits > 0 && bits <= 128 {
			rdata = append(rdata, wiretest.Name("Name.Example")...)
			wantNames = 1
		}
		var w Walker
		if !w.Walk(wiretest.New("q", wiretest.TypeA6).With(Answer, "q", wiretest.TypeA6, rdata).Wire) {
			t.Errorf("prefix length %d: malformed", bits)
			continue
		}
		if got := len(walkedNames(t, &w, w.Records[0])); got != wantNames {
			t.Errorf("prefix length %d: %d names", bits, got)
		}
	}
}

func TestLayoutOfGateways(t *testing.T) {
	v4, v6, name := []byte{203, 0, 113, 7}, net.ParseIP("2001:db8::7"), wiretest.Name("gw.example")
	for _, tt := range []struct {
		typ   uint16
		rdata []byte
		ok    bool
	}{
		{dns.TypeIPSECKEY, []byte{1, 0, 2, 9, 9}, true},
		{dns.TypeIPSECKEY, append([]byte{1, 1, 2}, v4...), true},
		{dns.TypeIPSECKEY, []byte{1, 1, 2, 203, 0, 113}, false},
		{dns.TypeIPSECKEY, append([]byte{1, 2, 2}, v6...), true},
		{dns.TypeIPSECKEY, append([]byte{1, 2, 2}, v6[:15]...), false},
		{dns.TypeIPSECKEY, append(append([]byte{1, 3, 2}, name...), 9, 9), true},
		{dns.TypeIPSECKEY, []byte{1, 3, 2}, false},
		{dns.TypeIPSECKEY, []byte{1, 3}, false},
		{dns.TypeAMTRELAY, []byte{1, 0x80}, true},
		{dns.TypeAMTRELAY, append([]byte{1, 0x81}, v4...), true},
		{dns.TypeAMTRELAY, append([]byte{1, 2}, v6...), true},
		{dns.TypeAMTRELAY, append([]byte{1, 0x83}, name...), true},
		{dns.TypeAMTRELAY, append([]byte{1, 3}, name[:4]...), false},
		{dns.TypeAMTRELAY, append([]byte{1, 1}, v6...), false},
		{dns.TypeAMTRELAY, []byte{1}, false},
	} {
		t.Run(fmt.Sprintf("%s % x", dns.Type(tt.typ), tt.rdata), func(t *testing.T) {
			var w Walker
			d := wiretest.New("q", tt.typ).With(Answer, "q", tt.typ, tt.rdata)
			d.With(Answer, "q", dns.TypeA, v4)
			if got := w.Walk(d.Wire); got != tt.ok {
				t.Fatalf("well formed: got %v, want %v", got, tt.ok)
			}
			if tt.ok {
				compareMessage(t, &w)
			}
		})
	}
}
