package transform

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/idna"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire/wiretest"
)

func TestParseLocalName(t *testing.T) {
	for _, tt := range []struct{ entry, want string }{
		{"univ.example", "univ.example"},
		{" Univ.Example. ", "univ.example"},
		{"univ", "univ"},
		{"bücher.example", "xn--bcher-kva.example"},
		{"BÜCHER.example", "xn--bcher-kva.example"},
		{"bu\u0308cher.example", "xn--bcher-kva.example"}, // decomposed
		{"xn--bcher-kva.example", "xn--bcher-kva.example"},
		{"XN--BCHER-KVA.Example", "xn--bcher-kva.example"},
		{"faß.example", "xn--fa-hia.example"},
		{"univ。example", "univ.example"}, // the ideographic full stop
		{"univ.example。", "univ.example"},
		{"_tcp.univ.example", "_tcp.univ.example"},
		{"2.0.192.in-addr.arpa", "2.0.192.in-addr.arpa"},
		{strings.Repeat("a", 63), strings.Repeat("a", 63)},
	} {
		if got, err := ParseLocalName(tt.entry); err != nil || got != tt.want {
			t.Errorf("%q: got %q, %v; want %q", tt.entry, got, err, tt.want)
		}
	}
}

func TestParseLocalNameRefuses(t *testing.T) {
	for _, entry := range []string{
		"", ".", " ", "..", "univ..example", "univ.example..", ".univ.example", "*.univ.example", "univ.example/24", "univ example",
		"user@univ.example", "univ\\046example", strings.Repeat("a", 64), strings.Repeat("a.", 130) + "example",
		"xn--\u00fc.example", "a\x00b", "\xff.example",
	} {
		if got, err := ParseLocalName(entry); err == nil {
			t.Errorf("%q is taken for %q", entry, got)
		}
		if _, err := NewPolicy(Config{PairingTimeout: time.Second, TimeResolution: 1, LocalNames: []string{entry}}); err == nil {
			t.Errorf("NewPolicy takes %q", entry)
		}
	}
}

// TestPlainNamesAreAsIDNAHasThem compares the short way of ParseLocalName, and of uLabels, with the long
// one, over names with hyphens, underscores, digits and labels of IDNA, and of lengths at the limits.
func TestPlainNamesAreAsIDNAHasThem(t *testing.T) {
	labels := []string{"", "a", "9", "_tcp", "_", "-", "--", "-a", "a-", "a-b", "a--b", "ab--c", "ab--", "a-b-c-d", "abc--d", "xn--", "xn--bcher-kva",
		"xn--a", "axn--b", "xn-a", "A", "aB", "bücher", "in-addr", "0", "1e", "0x10", "a b", "a*", "a\\", "a\000", "\xff", "\u200d", "\u3002", "\u05d0", "\u0660",
		strings.Repeat("a", 62), strings.Repeat("a", 63), strings.Repeat("a", 64), strings.Repeat("-", 63), strings.Repeat("9", 63)}
	const letters = "abcxyz0189-_"
	r := rand.New(rand.NewPCG(1, 2))
	plain, longest := 0, 0
	for range 200_000 {
		var parts []string
		for range 1 + r.IntN(6) {
			label := labels[r.IntN(len(labels))]
			if r.IntN(2) == 0 {
				b := make([]byte, 1+r.IntN(8))
				for i := range b {
					b[i] = letters[r.IntN(len(letters))]
				}
				label = string(b)
			}
			parts = append(parts, label)
		}
		name := strings.Join(parts, ".")
		if r.IntN(20) == 0 && len(name) < 250 { // near the limit of a name
			for n := 250 + r.IntN(8); len(name) < n; {
				name += "." + strings.Repeat("a", min(63, n-len(name)))
			}
		}
		got, err := localNameByIDNA(name, name)
		if isPlain(name) {
			plain++
			longest = max(longest, len(name))
			if err != nil || got != name {
				t.Fatalf("%q: %q, %v", name, got, err)
			}
		}
		if u, uErr := idna.Punycode.ToUnicode(got); err == nil && !strings.Contains(got, aLabelPrefix) && (uErr != nil || u != got) {
			t.Fatalf("%q: U-labels %q, %v", got, u, uErr)
		}
	}
	if plain < 20_000 || longest != 253 {
		t.Errorf("only %d plain names, of up to %d octets", plain, longest)
	}
}

// A file may be one long line of any text, which must not block a sensor.
func TestParseLocalNameRefusesLongEntriesAtOnce(t *testing.T) {
	var long strings.Builder
	for c := rune(0x4e00); long.Len() < 30000; c++ {
		long.WriteRune(c)
	}
	if _, err := ParseLocalName(long.String()); err == nil || len(err.Error()) > 100 {
		t.Errorf("got %v, want a short error", err)
	}
	longest := strings.Repeat(strings.Repeat("\u6f22", 50)+".", 4) + "example"
	if _, err := ParseLocalName(longest); err != nil {
		t.Errorf("a name of %d bytes: %v", len(longest), err)
	}
}

func TestNewPolicyRefuses(t *testing.T) {
	good := Config{PairingTimeout: time.Minute, TimeResolution: time.Second}
	if _, err := NewPolicy(good); err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]func(*Config){
		"no timeout":                func(c *Config) { c.PairingTimeout = 0 },
		"timeout too long":          func(c *Config) { c.PairingTimeout = 25 * time.Hour },
		"no resolution":             func(c *Config) { c.TimeResolution = 0 },
		"negative resolution":       func(c *Config) { c.TimeResolution = -1 },
		"rcode too high":            func(c *Config) { c.Rcodes = []uint8{16} },
		"no resolver":               func(c *Config) { c.Resolvers = []netip.Prefix{{}} },
		"any resolver":              func(c *Config) { c.Resolvers = single(netip.IPv6Unspecified()) },
		"mapped network":            func(c *Config) { c.LocalNetworks = []netip.Prefix{netip.MustParsePrefix("::ffff:192.0.2.0/120")} },
		"resolvers' mapped network": func(c *Config) { c.Resolvers = []netip.Prefix{netip.MustParsePrefix("::ffff:192.0.2.0/120")} },
		"resolvers' no network":     func(c *Config) { c.Resolvers = []netip.Prefix{{}} },
		"resolvers' unspecified":    func(c *Config) { c.Resolvers = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/32")} },
		"no network":                func(c *Config) { c.LocalNetworks = []netip.Prefix{{}} },
	} {
		c := good
		edit(&c)
		if _, err := NewPolicy(c); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// charStrings is rdata of character-strings (RFC 1035 section 3.3).
func charStrings(texts ...string) []byte {
	var b []byte
	for _, s := range texts {
		b = append(append(b, byte(len(s))), s...)
	}
	return b
}

// svcb returns rdata of SVCB with priority, target and one parameter.
func svcb(key uint16, value string) []byte {
	b := append([]byte{0, 1}, wiretest.Name("svc.example.net")...)
	b = append(b, byte(key>>8), byte(key), byte(len(value)>>8), byte(len(value)))
	return append(b, value...)
}

// answering returns a response with one record in answer.
func answering(typ uint16, rdata []byte) []byte {
	return wiretest.New("q.example.net", typ).With(dnswire.Answer, "q.example.net", typ, rdata).Wire
}

// setName replaces the n-th name of a record.
func setName(r dns.RR, n int, name string) {
	v := reflect.ValueOf(r).Elem()
	if v.Type().Field(0).Name != "Hdr" {
		v = v.Field(0)
	}
	for i := range v.NumField() {
		field := v.Field(i)
		tag := v.Type().Field(i).Tag.Get("dns")
		isName := strings.HasSuffix(tag, "domain-name") || (tag == "ipsechost" || tag == "amtrelayhost") && field.String() != ""
		switch {
		case !isName:
		case field.Kind() == reflect.Slice:
			if n < field.Len() {
				field.Index(n).SetString(name)
				return
			}
			n -= field.Len()
		case n == 0:
			field.SetString(name)
			return
		default:
			n--
		}
	}
}

// nameMatches are names in any field, and whether they are local.
var nameMatches = []struct {
	name string
	want Reason
}{
	{"univ.example.", LocalName},
	{"Host.UNIV.Example.", LocalName},
	{"a.b.c.univ.example.", LocalName},
	{"xn--bcher-kva.example.", LocalName},
	{"www.XN--Bcher-KVA.example.", LocalName},
	{"96.51.198.in-addr.arpa.", LocalName},
	{"7.111.51.198.IN-ADDR.arpa.", LocalName},
	{"c.8.b.d.0.1.0.0.2.ip6.arpa.", Kept},
	{"b.8.b.d.0.1.0.0.2.ip6.arpa.", LocalName},
	{"notuniv.example.", Kept},
	{"univ.example.evil.com.", LocalName},
	{"www.univ.example.fritz.box.", LocalName},
	{"univ.examples.com.", Kept},
	{"univ-example.", Kept},
	{"example.", Kept},
	{"95.51.198.in-addr.arpa.", Kept},
	{"112.51.198.in-addr.arpa.", Kept},
	{"51.198.in-addr.arpa.", Kept}, // more than the network
	{"xn--bcher-kva.example.net.", LocalName},
	{"Bücher.example.", LocalName},
	{"www.BÜCHER.example.net.", LocalName},
	{"www.bücher.example.", LocalName},
	{"abücher.example.", Kept},
}

func TestLocalNamesAreFoundInEveryNameOfEveryType(t *testing.T) {
	p := scrubPolicy(t)
	for _, typ := range wiretest.KnownTypes() {
		for n := range wiretest.NamesOf(wiretest.SampleRR(t, typ)) {
			for _, tt := range nameMatches {
				r := wiretest.SampleRR(t, typ)
				setName(r, n, tt.name)
				if wiretest.NamesOf(r)[n] != tt.name {
					t.Fatalf("%s: name %d is %s", dns.Type(typ), n, wiretest.NamesOf(r)[n])
				}
				buf := make([]byte, 1024)
				end, err := dns.PackRR(r, buf, 0, nil, false)
				if err != nil {
					t.Fatal(err)
				}
				rdata := buf[len(wiretest.Name(r.Header().Name))+10 : end]
				if _, got := scrubOne(p, asResponse(answering(typ, rdata))); got != tt.want {
					t.Errorf("%s as name %d of %s: got %v, want %v", tt.name, n, dns.Type(typ), got, tt.want)
				}
			}
		}
	}
}

func TestLocalNamesAreFoundAsQueryNameOwnerAndZone(t *testing.T) {
	p := scrubPolicy(t)
	address := []byte{203, 0, 113, 7}
	for _, tt := range nameMatches {
		t.Run(tt.name, func(t *testing.T) {
			wantReason(t, p, wiretest.New(tt.name, dns.TypeA).Wire, tt.want)
			for section := range 3 {
				wire := wiretest.New("q.example.net", dns.TypeA).With(section, tt.name, dns.TypeA, address).Wire
				if tt.want == Kept {
					wantReason(t, p, wire, Kept)
				} else {
					wantRemoved(t, p, wire)
				}
			}
			m := asResponse(wiretest.New("q.example.net", dns.TypeA).Wire)
			m.Zone = wiretest.Name(tt.name)
			if _, got := scrubOne(p, m); got != tt.want {
				t.Errorf("as zone: got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestLocalNamesAreFoundThroughPointers(t *testing.T) {
	p := scrubPolicy(t)
	ns := func(d *wiretest.Message, rdata ...byte) *wiretest.Message {
		d.Record(dnswire.Authority, wiretest.PointTo(dnswire.HeaderLen), dns.TypeNS, rdata)
		return d
	}
	d := wiretest.New("example", dns.TypeNS)
	wantReason(t, p, ns(d, append([]byte("\x04univ"), wiretest.PointTo(dnswire.HeaderLen)...)...).Wire, LocalName)
	d = wiretest.New("example", dns.TypeNS)
	wantReason(t, p, ns(d, append([]byte("\x07notuniv"), wiretest.PointTo(dnswire.HeaderLen)...)...).Wire, Kept)

	// The rest of the name is in rdata that by its type has no name.
	d = wiretest.New("q.example.net", dns.TypeNS)
	at := d.Record(dnswire.Answer, wiretest.PointTo(dnswire.HeaderLen), 65280, wiretest.Name("example"))
	wantRemoved(t, p, ns(d, append([]byte("\x04univ"), wiretest.PointTo(at)...)...).Wire)

	// The rest of the name is in fixed fields: class, TTL and length 7.
	d = wiretest.New("q.example.net", dns.TypeNS)
	at = d.Record(dnswire.Answer, wiretest.PointTo(dnswire.HeaderLen), 65280, []byte("example\x00")) - 1
	d.Wire[at-1], d.Wire[at] = 0, 7 // the root remains
	d.Wire = d.Wire[:len(d.Wire)-1]
	d.Record(dnswire.Answer, []byte{0}, 65280, nil)
	wantRemoved(t, p, ns(d, append([]byte("\x04univ"), wiretest.PointTo(at)...)...).Wire)

	// The rest is in an OPT that will be removed.
	d = wiretest.New("q.example.net", dns.TypeNS)
	at = d.Record(dnswire.Additional, []byte{0}, dns.TypeOPT, append([]byte{0xfd, 0xe9, 0, 9}, wiretest.Name("example")...)) + 4
	d.Record(dnswire.Additional, append([]byte("\x04univ"), wiretest.PointTo(at)...), dns.TypeA, []byte{203, 0, 113, 7})
	wantRemoved(t, p, d.Wire)

	// All labels are in rdata, in two parts; the name itself is only a pointer.
	d = wiretest.New("example", dns.TypeNS)
	at = d.Record(dnswire.Answer, wiretest.PointTo(dnswire.HeaderLen), 65280, append([]byte("\x04univ"), wiretest.PointTo(dnswire.HeaderLen)...))
	wantRemoved(t, p, ns(d, wiretest.PointTo(at)...).Wire)

	// The whole name is the owner of an OPT that will be removed.
	d = wiretest.New("q.example.net", dns.TypeNS)
	at = len(d.Wire)
	d.Record(dnswire.Additional, wiretest.Name("univ.example"), dns.TypeOPT, nil)
	d.Record(dnswire.Additional, append([]byte("\x01x"), wiretest.PointTo(at)...), dns.TypeA, []byte{203, 0, 113, 7})
	wantRemoved(t, p, d.Wire)

	// Only the OPT contains the name.
	d = wiretest.New("q.example.net", dns.TypeNS).With(dnswire.Additional, "univ.example", dns.TypeOPT, nil)
	wantReason(t, p, d.Wire, Kept)
}

// textMatches are texts in any rdata, and whether they contain a local name.
var textMatches = []struct {
	text string
	want Reason
}{
	{"univ.example", LocalName},
	{"UNIV.Example", LocalName},
	{"see https://www.univ.example/path", LocalName},
	{"mailto:someone@univ.example", LocalName},
	{"v=spf1 include:_spf.univ.example -all", LocalName},
	{"univ.example.", LocalName},
	{"univ.example.evil.com", LocalName}, // bounded by a full stop: as text it counts
	{"\"univ.example\"", LocalName},
	{"a=xn--bcher-kva.example", LocalName},
	{"Bücher.example", LocalName},
	{"Bücher.example", LocalName},
	{"BÜCHER.EXAMPLE", LocalName},
	{"by 7.96.51.198.in-addr.arpa!", Kept}, // local networks count in names only
	{"notuniv.example", Kept},
	{"univ.examples", Kept},
	{"univ.example-net", Kept},
	{"_univ.example", Kept},
	{"univ_example", Kept},
	{"univ. example", Kept},
	{"abücher.example", Kept},
	{"bücher.examples", Kept},
	{"7.95.51.198.in-addr.arpa", Kept},
	{"7.96.51.198.in-addr.arpanet", Kept},
}

func TestLocalNamesAreFoundInText(t *testing.T) {
	places := map[string]func(string) []byte{
		"TXT":            func(s string) []byte { return answering(dns.TypeTXT, charStrings(s)) },
		"TXT, second":    func(s string) []byte { return answering(dns.TypeTXT, charStrings("first", s)) },
		"TXT, split":     func(s string) []byte { return answering(dns.TypeTXT, charStrings(s[:4], s[4:7], s[7:])) },
		"TXT, by octets": func(s string) []byte { return answering(dns.TypeTXT, charStrings(strings.Split(s, "")...)) },
		"SPF":            func(s string) []byte { return answering(dns.TypeSPF, charStrings(s)) },
		"HINFO, CPU":     func(s string) []byte { return answering(dns.TypeHINFO, charStrings(s, "x")) },
		"HINFO, OS":      func(s string) []byte { return answering(dns.TypeHINFO, charStrings("x", s)) },
		"HINFO, split":   func(s string) []byte { return answering(dns.TypeHINFO, charStrings(s[:6], s[6:])) },
		"X25":            func(s string) []byte { return answering(dns.TypeX25, charStrings(s)) },
		"ISDN":           func(s string) []byte { return answering(dns.TypeISDN, charStrings("1", s)) },
		"GPOS":           func(s string) []byte { return answering(dns.TypeGPOS, charStrings("1", "2", s)) },
		"CAA, value":     func(s string) []byte { return answering(dns.TypeCAA, append([]byte("\x00\x05issue"), s...)) },
		"CAA, tag":       func(s string) []byte { return answering(dns.TypeCAA, append([]byte{0}, charStrings(s)...)) },
		"URI":            func(s string) []byte { return answering(dns.TypeURI, append([]byte{0, 1, 0, 1}, s...)) },
		"NAPTR, service": func(s string) []byte { return answering(dns.TypeNAPTR, naptr("u", s, "!a!b!")) },
		"NAPTR, regexp":  func(s string) []byte { return answering(dns.TypeNAPTR, naptr("u", "E2U+sip", "!^.*$!sip:x@"+s+"!")) },
		"SVCB, dohpath":  func(s string) []byte { return answering(dns.TypeSVCB, svcb(7, s)) },
		"HTTPS, alpn":    func(s string) []byte { return answering(dns.TypeHTTPS, svcb(1, string(charStrings("h2", s)))) },
		"HTTPS, ech": func(s string) []byte {
			return answering(dns.TypeHTTPS, svcb(5, "\xfe\x0d\x00\x00"+string(charStrings(s))))
		},
		"RESINFO":                    func(s string) []byte { return answering(dns.TypeRESINFO, charStrings("qnamemin", "infourl="+s)) },
		"unknown type":               func(s string) []byte { return answering(65280, []byte(s)) },
		"unknown type, strings":      func(s string) []byte { return answering(65280, charStrings("a", s, "z")) },
		"unknown type, split":        func(s string) []byte { return answering(65280, charStrings(s[:4], s[4:7], s[7:])) },
		"unknown type, long strings": func(s string) []byte { return answering(65280, charStrings(s+strings.Repeat("!", 65-len(s)%65))) },
		"NULL":                       func(s string) []byte { return answering(dns.TypeNULL, []byte(s)) },
		"DNSKEY":                     func(s string) []byte { return answering(dns.TypeDNSKEY, append([]byte("\x01\x00\x03\x0d"), s...)) },
		"TLSA":                       func(s string) []byte { return answering(dns.TypeTLSA, append([]byte("\x03\x00\x00"), s...)) },
		"IPSECKEY":                   func(s string) []byte { return answering(dns.TypeIPSECKEY, append([]byte("\x03\x00\x00"), s...)) },
		"RRSIG": func(s string) []byte {
			return answering(dns.TypeRRSIG, append(append(make([]byte, 18), wiretest.Name("example.net")...), s...))
		},
		"far into a long text": func(s string) []byte {
			return answering(65280, []byte(strings.Repeat("ab.", 1000)+"!"+s+"!"+strings.Repeat("cd.", 100)))
		},
	}
	p := scrubPolicy(t)
	for place, build := range places {
		for _, tt := range textMatches {
			if _, got := scrubOne(p, asResponse(build(tt.text))); got != tt.want {
				t.Errorf("%s: %q: got %v, want %v", place, tt.text, got, tt.want)
			}
		}
	}
}

func naptr(texts ...string) []byte {
	return append(append([]byte{0, 1, 0, 1}, charStrings(texts...)...), 0)
}

// TestLocalNameAfterALengthThatIsAHyphen: 45 is "-", so that the name looks like the end of a
// longer label.
func TestLocalNameAfterALengthThatIsAHyphen(t *testing.T) {
	p := scrubPolicy(t)
	for _, n := range []int{45, 48, 57, 65, 90, 95, 97, 122} {
		text := "univ.example" + strings.Repeat("!", n-len("univ.example"))
		for place, wire := range map[string][]byte{
			"unknown type": answering(65280, charStrings(text)),
			"SVCB value":   answering(dns.TypeSVCB, svcb(65280, text)),
			"SVCB alpn":    answering(dns.TypeSVCB, svcb(1, string(charStrings("h2", text)))),
		} {
			if _, got := scrubOne(p, asResponse(wire)); got != LocalName {
				t.Errorf("%s of %d octets: %v", place, n, got)
			}
		}
	}
}

// TestLocalNamesAreFoundInLongTokens tries a name at every offset of a long token.
func TestLocalNamesAreFoundInLongTokens(t *testing.T) {
	p := scrubPolicy(t)
	for before := range 1200 {
		for _, filler := range []string{"a.", "abcdefghi."} {
			text := strings.Repeat(filler, before/len(filler)) + "univ.example" + strings.Repeat(".b", 700)
			if _, got := scrubOne(p, asResponse(answering(65280, []byte(text)))); got != LocalName {
				t.Fatalf("after %d octets of %q: %v", before, filler, got)
			}
		}
	}
}

func TestLocalNamesAreFoundAsLabels(t *testing.T) {
	p := scrubPolicy(t)
	places := map[string]func([]byte) []byte{
		"unknown type":         func(b []byte) []byte { return answering(65280, b) },
		"unknown type, inside": func(b []byte) []byte { return answering(65280, append([]byte("\x00\x01\x02\xff"), b...)) },
		"DNSKEY":               func(b []byte) []byte { return answering(dns.TypeDNSKEY, append([]byte("\x01\x00\x03\x0d"), b...)) },
		"RRSIG": func(b []byte) []byte {
			return answering(dns.TypeRRSIG, append(append(make([]byte, 18), wiretest.Name("example.net")...), b...))
		},
		"SVCB": func(b []byte) []byte { return answering(dns.TypeSVCB, svcb(65280, string(b))) },
		"NSEC3": func(b []byte) []byte {
			return answering(dns.TypeNSEC3, append([]byte{1, 0, 0, 0, 0}, b...))
		},
		"TXT": func(b []byte) []byte { return answering(dns.TypeTXT, b[:len(b)-1]) }, // labels are strings
	}
	for place, build := range places {
		for name, want := range map[string]Reason{
			"univ.example":                LocalName,
			"Host.UNIV.example":           LocalName,
			"univ.example.evil.com":       LocalName, // where it ends cannot be known
			"7.96.51.198.in-addr.arpa":    Kept,      // local networks count in names only
			"www.xn--bcher-kva.example":   LocalName,
			"notuniv.example":             Kept,
			"univ.exampl":                 Kept,
			"7.95.51.198.in-addr.arpa":    Kept,
			"a.8.b.d.0.1.0.0.2.ip6.arpas": Kept,
		} {
			if _, got := scrubOne(p, asResponse(build(wiretest.Name(name)))); got != want {
				t.Errorf("%s: %s: got %v, want %v", place, name, got, want)
			}
		}
	}
}

func TestLocalNameOfOneLabel(t *testing.T) {
	p := scrubPolicy(t, func(c *Config) { c.LocalNames = []string{"univ", "other.example"} })
	for wire, want := range map[string]Reason{
		string(wiretest.New("host.univ", dns.TypeA).Wire):                               LocalName,
		string(wiretest.New("univ.net", dns.TypeA).Wire):                                Kept,
		string(wiretest.New("univ", dns.TypeNS).Wire):                                   LocalName,
		string(wiretest.New("univ.other.example.net", dns.TypeA).Wire):                  LocalName,
		string(answering(dns.TypeTXT, charStrings("the univ is"))):                      Kept, // an ordinary word
		string(answering(dns.TypeTXT, charStrings("university"))):                       Kept,
		string(answering(dns.TypeTXT, charStrings("other.example"))):                    LocalName,
		string(answering(65280, []byte("\x04univ\x00"))):                                LocalName,
		string(answering(65280, []byte("\x04univ\x03net\x00"))):                         Kept,
		string(answering(65280, []byte("\x05univs"))):                                   Kept,
		string(answering(dns.TypeTXT, charStrings(strings.Repeat("a", 250), "b-univ"))): Kept,
	} {
		wantReason(t, p, []byte(wire), want)
	}
}

func TestLocalNamesThatShareLabels(t *testing.T) {
	var names []string
	for i := range 300 {
		names = append(names, fmt.Sprintf("mail.d%d.example", i), fmt.Sprintf("www.univ%d.example", i%7), fmt.Sprintf("d%d.test%d", i, i%3))
	}
	p := scrubPolicy(t, func(c *Config) { c.LocalNames = names })
	for _, name := range names {
		wantReason(t, p, wiretest.New("x."+name, dns.TypeA).Wire, LocalName)
		wantReason(t, p, answering(dns.TypeTXT, charStrings("x "+name+" y")), LocalName)
		wantReason(t, p, answering(65280, wiretest.Name("x."+name)), LocalName)
	}
	for _, name := range []string{"mail.d300.example", "mail.example", "d1.example", "www.univ7.example", "d1.test0"} {
		wantReason(t, p, wiretest.New("x."+name, dns.TypeA).Wire, Kept)
		wantReason(t, p, answering(dns.TypeTXT, charStrings("x "+name+" y")), Kept)
		wantReason(t, p, answering(65280, wiretest.Name("x."+name)), Kept)
	}
}

// TestLocalNetworksWithinOctets has networks whose boundary is not that of a label.
func TestLocalNetworksWithinOctets(t *testing.T) {
	p := scrubPolicy(t, func(c *Config) {
		c.LocalNetworks = []netip.Prefix{
			netip.MustParsePrefix("198.51.100.64/27"), netip.MustParsePrefix("203.0.112.0/23"),
			netip.MustParsePrefix("2001:db8:a000::/35"), netip.MustParsePrefix("2001:db8:c:d::1/128"),
		}
	})
	server := netip.MustParseAddrPort("192.0.2.99:53")
	for name, want := range map[string]Reason{
		"64.100.51.198.in-addr.arpa":            LocalName,
		"95.100.51.198.in-addr.arpa":            LocalName,
		"96.100.51.198.in-addr.arpa":            Kept,
		"63.100.51.198.in-addr.arpa":            Kept,
		"100.51.198.in-addr.arpa":               Kept, // contains more than the network
		"64/27.100.51.198.in-addr.arpa":         LocalName,
		"65.64/27.100.51.198.in-addr.arpa":      LocalName, // RFC 2317
		"65.64-95.100.51.198.in-addr.arpa":      LocalName,
		"x.65.100.51.198.in-addr.arpa":          LocalName,
		"x.96.100.51.198.in-addr.arpa":          Kept,
		"112.0.203.in-addr.arpa":                LocalName,
		"113.0.203.in-addr.arpa":                LocalName,
		"1.113.0.203.in-addr.arpa":              LocalName,
		"114.0.203.in-addr.arpa":                Kept,
		"0.203.in-addr.arpa":                    Kept,
		"a.8.b.d.0.1.0.0.2.ip6.arpa":            LocalName,
		"b.8.b.d.0.1.0.0.2.ip6.arpa":            LocalName,
		"9.8.b.d.0.1.0.0.2.ip6.arpa":            Kept,
		"c.8.b.d.0.1.0.0.2.ip6.arpa":            Kept,
		"8.b.d.0.1.0.0.2.ip6.arpa":              Kept,
		"256.100.51.198.in-addr.arpa":           LocalName, // not an octet: may be a part of the network
		reverseName("2001:db8:c:d::1"):          LocalName,
		reverseName("2001:db8:c:d::2"):          Kept,
		"a.8.b.d.0.1.0.0.2.ip6.int":             Kept,
		"64.100.51.198.in-addr.arpa.example":    LocalName,
		"64.100.51.198.in-addr.example.in-arpa": LocalName, // octets as labels in reverse order
		"96.100.51.198.in-addr.arpa.example":    Lookup,
	} {
		m := asResponse(wiretest.New(name, dns.TypePTR).Wire)
		m.Server = server
		if _, got := scrubOne(p, m); got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}

// TestALabelsHaveNoHexadecimalDigits, because their digits encode letters of another script.
func TestALabelsHaveNoHexadecimalDigits(t *testing.T) {
	p := scrubPolicy(t, func(c *Config) { c.LocalNetworks = []netip.Prefix{netip.MustParsePrefix("62.11.112.0/24")} })
	for name, want := range map[string]Reason{"www.example.xn--3e0b707e": Kept, "3e0b707e.example": LocalName, "x-3e0b707e.example": LocalName} {
		wantReason(t, p, wiretest.New(name, dns.TypeA).Wire, want)
	}
}

func reverseName(addr string) string {
	name, err := dns.ReverseAddr(addr)
	if err != nil {
		panic(err)
	}
	return name
}

func TestAddressesInLocalNetworksAreKept(t *testing.T) {
	p := scrubPolicy(t)
	wire := wiretest.New("www.example.net", dns.TypeA).
		With(dnswire.Answer, "www.example.net", dns.TypeA, []byte{198, 51, 100, 7}).
		With(dnswire.Answer, "www.example.net", dns.TypeAAAA, netip.MustParseAddr("2001:db8:a000::7").AsSlice()).
		With(dnswire.Answer, "www.example.net", dns.TypeTXT, charStrings("ip4:198.51.100.7")).Wire
	wantReason(t, p, wire, Kept)
}

func TestLocalNameGoesBeforeOtherReasons(t *testing.T) {
	p := scrubPolicy(t)
	wire := wiretest.New("printer.local", dns.TypeA).
		With(dnswire.Answer, "printer.local", dns.TypeA, ownAddr4.AsSlice()).
		With(dnswire.Answer, "printer.local", dns.TypeCNAME, wiretest.Name("www.univ.example")).Wire
	wantReason(t, p, wire, LocalName)
	wire = wiretest.New("printer.local", dns.TypeA).With(dnswire.Answer, "printer.local", dns.TypeA, ownAddr4.AsSlice()).Wire
	wantReason(t, p, wire, ResolverAddress)
}
