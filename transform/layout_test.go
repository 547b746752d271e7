package transform

import (
	"fmt"
	"maps"
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

// knownTypes are the types that miekg/dns can read and that stand in answers.
func knownTypes() []uint16 {
	types := slices.Sorted(maps.Keys(dns.TypeToRR))
	return slices.DeleteFunc(types, func(typ uint16) bool {
		return typ == dns.TypeOPT || typ == dns.TypeTSIG || typ == dns.TypeTKEY || typ == dns.TypeANY || typ == dns.TypeNXNAME
	})
}

// sampleRR makes a record of a type in which every field has a value, and every
// name is another one.
func sampleRR(tb testing.TB, typ uint16) dns.RR {
	tb.Helper()
	r := dns.TypeToRR[typ]()
	*r.Header() = dns.RR_Header{Name: "Owner.Example.", Rrtype: typ, Class: dns.ClassINET, Ttl: 60}
	v := reflect.ValueOf(r).Elem()
	if v.Type().Field(0).Name != "Hdr" {
		v = v.Field(0)
	}
	for i := 1; i < v.NumField(); i++ {
		fill(tb, v.Field(i), v.Type().Field(i))
	}
	switch r := r.(type) {
	case *dns.HIP:
		r.HitLength, r.PublicKeyLength = 2, 3
	case *dns.NSEC3:
		r.SaltLength, r.HashLength = 2, 20
	case *dns.NSEC3PARAM:
		r.SaltLength = 2
	case *dns.IPSECKEY:
		r.GatewayType, r.GatewayAddr, r.GatewayHost = dns.IPSECGatewayHost, nil, "Gateway.Example."
	case *dns.AMTRELAY:
		r.GatewayType, r.GatewayAddr, r.GatewayHost = dns.IPSECGatewayHost, nil, "Relay.Example."
	}
	return r
}

func fill(tb testing.TB, field reflect.Value, of reflect.StructField) {
	tb.Helper()
	tag, _, _ := strings.Cut(of.Tag.Get("dns"), ":")
	switch {
	case tag == "cdomain-name", tag == "domain-name":
		if field.Kind() == reflect.Slice {
			field.Set(reflect.ValueOf([]string{"One." + of.Name + ".Example.", "Two." + of.Name + ".Example."}))
		} else {
			field.SetString("Name." + of.Name + ".Example.")
		}
	case tag == "txt":
		field.Set(reflect.ValueOf([]string{"Some", "text"}))
	case tag == "nsec":
		field.Set(reflect.ValueOf([]uint16{dns.TypeA, dns.TypeRRSIG}))
	case tag == "a":
		field.Set(reflect.ValueOf(net.IPv4(203, 0, 113, 7).To4()))
	case tag == "aaaa":
		field.Set(reflect.ValueOf(net.ParseIP("2001:db8::7")))
	case tag == "apl":
		_, network, _ := net.ParseCIDR("203.0.113.0/24")
		field.Set(reflect.ValueOf([]dns.APLPrefix{{Network: *network}}))
	case tag == "pairs":
		field.Set(reflect.ValueOf([]dns.SVCBKeyValue{&dns.SVCBAlpn{Alpn: []string{"h2"}}}))
	case tag == "size-hex" && of.Name == "Hit":
		field.SetString("abcd")
	case tag == "size-base64":
		field.SetString("AAAA")
	case tag == "size-base32":
		field.SetString("2T7B4G4VSA5SMI47K61MV5BV1A22BOJR")
	case tag == "base64":
		field.SetString("aGVsbG8=")
	case strings.HasSuffix(tag, "hex"):
		field.SetString("abcd")
	case field.Kind() == reflect.String:
		field.SetString("Text")
	case field.CanUint():
		field.SetUint(1)
	case tag == "ipsechost", tag == "amtrelayhost", field.Kind() == reflect.Slice:
	default:
		tb.Fatalf("no value for field %s %q", of.Name, of.Tag)
	}
}

// sampleRdata is sampleRR's rdata, uncompressed.
func sampleRdata(tb testing.TB, typ uint16) []byte {
	tb.Helper()
	r := sampleRR(tb, typ)
	buf := make([]byte, 1024)
	n, err := dns.PackRR(r, buf, 0, nil, false)
	if err != nil {
		tb.Fatalf("%v: %v", r, err)
	}
	return buf[len(wireName(r.Header().Name))+10 : n]
}

// TestLayoutsFindTheNamesThatMiekgKnows goes through every type that miekg/dns has.
func TestLayoutsFindTheNamesThatMiekgKnows(t *testing.T) {
	withNames := 0
	for _, typ := range knownTypes() {
		t.Run(dns.TypeToString[typ], func(t *testing.T) {
			d := newRaw("q.example", typ)
			d.record(answer, wireName("Owner.Example"), typ, sampleRdata(t, typ))
			var w walker
			if !w.walk(d.wire) {
				t.Fatalf("malformed: % x", d.wire)
			}
			want := namesOf(sampleRR(t, typ))
			if diff := cmp.Diff(want, walkedNames(t, &w, w.rrs[0])); diff != "" {
				t.Errorf("names (-want +got):\n%s", diff)
			}
			if len(want) > 0 {
				withNames++
			}
			agree(t, &w)
		})
	}
	if withNames < 30 {
		t.Errorf("only %d types with names", withNames)
	}
}

// TestLayoutsHoldRdataToItsType cuts octets off every type's rdata, and adds one.
// What miekg/dns refuses and the walker takes must be octets to it.
func TestLayoutsHoldRdataToItsType(t *testing.T) {
	for _, typ := range knownTypes() {
		rdata := append(sampleRdata(t, typ), 0)
		for n := range len(rdata) + 1 {
			if n == len(rdata)-1 {
				continue // as it should be
			}
			d := newRaw("q.example", typ).with(answer, "q.example", typ, rdata[:n])
			d.with(answer, "q.example", dns.TypeA, []byte{198, 51, 100, 7}) // where miekg/dns reads on at the end
			var w walker
			var m dns.Msg
			if m.Unpack(d.wire) == nil || !w.walk(d.wire) {
				continue
			}
			steps := layoutOf(typ, rdata[:n])
			if last := steps[len(steps)-1]; !strings.ContainsRune("xzpShM", rune(last)) {
				t.Errorf("%s with %d octets of rdata instead of %d is well formed", dns.Type(typ), n, len(rdata)-1)
			}
		}
	}
}

// TestLayoutsOfNamesOnly: types that end in a name take neither less nor more.
func TestLayoutsOfNamesOnly(t *testing.T) {
	for typ, steps := range layouts {
		if steps == "" || !strings.ContainsRune("nN", rune(steps[len(steps)-1])) {
			continue
		}
		rdata := sampleRdata(t, uint16(typ))
		for _, broken := range [][]byte{rdata[:len(rdata)-1], append(slices.Clone(rdata), 0), {}} {
			var w walker
			if w.walk(newRaw("q", 1).with(answer, "q", uint16(typ), broken).wire) {
				t.Errorf("%s: % x is well formed", dns.Type(typ), broken)
			}
		}
	}
}

// foldedTypes is RFC 4034 section 6.2, without HINFO, which holds no name, and
// without NSEC (RFC 6840 section 5.1).
var foldedTypes = []uint16{
	dns.TypeNS, dns.TypeMD, dns.TypeMF, dns.TypeCNAME, dns.TypeSOA, dns.TypeMB, dns.TypeMG, dns.TypeMR, dns.TypePTR,
	dns.TypeMINFO, dns.TypeMX, dns.TypeRP, dns.TypeAFSDB, dns.TypeRT, dns.TypeSIG, dns.TypePX, dns.TypeNXT,
	dns.TypeNAPTR, dns.TypeKX, dns.TypeSRV, dns.TypeDNAME, typeA6, dns.TypeRRSIG,
}

func TestLayoutsLowercaseTheTypesOfRFC4034(t *testing.T) {
	var got []uint16
	for typ, steps := range layouts {
		if strings.Contains(string(steps), "n") || typ == typeA6 {
			got = append(got, uint16(typ))
		}
	}
	want := slices.Sorted(slices.Values(foldedTypes))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("types whose names are lowercased (-want +got):\n%s", diff)
	}
}

// TestScrubKeepsOrLowersCaseByType sends a record of every type through.
func TestScrubKeepsOrLowersCaseByType(t *testing.T) {
	p := scrubPolicy(t)
	for _, typ := range knownTypes() {
		t.Run(dns.TypeToString[typ], func(t *testing.T) {
			in := sampleRR(t, typ)
			out := mustScrub(t, p, newRaw("Q.Example", typ).with(answer, in.Header().Name, typ, sampleRdata(t, typ)).wire)
			var m dns.Msg
			if err := m.Unpack(out); err != nil {
				t.Fatal(err)
			}
			want := namesOf(in)
			if slices.Contains(foldedTypes, typ) {
				want = strings.Fields(strings.ToLower(strings.Join(want, " ")))
			}
			if diff := cmp.Diff(want, namesOf(m.Answer[0])); diff != "" {
				t.Errorf("names (-want +got):\n%s", diff)
			}
			if m.Answer[0].Header().Name != "owner.example." || m.Question[0].Name != "q.example." {
				t.Errorf("owner %s, question %s", m.Answer[0].Header().Name, m.Question[0].Name)
			}
		})
	}
}

func TestLayoutOfA6(t *testing.T) {
	for bits := range 130 {
		n := (128 - bits + 7) / 8
		rdata := append([]byte{byte(bits)}, make([]byte, max(n, 0))...)
		wantNames := 0
		if bits > 0 && bits <= 128 {
			rdata = append(rdata, wireName("Name.Example")...)
			wantNames = 1
		}
		var w walker
		if !w.walk(newRaw("q", typeA6).with(answer, "q", typeA6, rdata).wire) {
			t.Errorf("prefix length %d: malformed", bits)
			continue
		}
		if got := len(walkedNames(t, &w, w.rrs[0])); got != wantNames {
			t.Errorf("prefix length %d: %d names", bits, got)
		}
	}
}

func TestLayoutOfGateways(t *testing.T) {
	v4, v6, name := []byte{203, 0, 113, 7}, net.ParseIP("2001:db8::7"), wireName("gw.example")
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
			var w walker
			d := newRaw("q", tt.typ).with(answer, "q", tt.typ, tt.rdata)
			d.with(answer, "q", dns.TypeA, v4)
			if got := w.walk(d.wire); got != tt.ok {
				t.Fatalf("well formed: got %v, want %v", got, tt.ok)
			}
			if tt.ok {
				agree(t, &w)
			}
		})
	}
}
