package explain_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// A placeKind is the kind of content that a place takes.
type placeKind int

const (
	inName placeKind = iota
	inText
	inOpaque
	inRandom // keys, digests and other random octets
	inAddress
)

// A content is an item in the representations that it has for the kinds of places.
type content struct {
	labels []string // of a name
	text   string
	octets string
	addr   netip.Addr
	inside bool // other labels follow a local name
	whole  bool // nothing may follow the octets, and character-strings may not divide the text
	apart  bool // the preceding octets must not look like a label
}

// A place is a part of a response that may contain an item. put puts the item there, and reports
// whether the place is in the answer chain, so that the item forbids the record.
type place struct {
	name string
	kind placeKind
	room int  // octets
	ends bool // nothing follows the octets
	six  bool // the address is IPv6
	only bool // the address does not count as octets too
	put  func(m *response, x content, g gen) (chain bool)
}

// add adds a record, in a random section and with a random owner, and sometimes its signature.
func (m *response) add(g gen, typ uint16, rdata ...any) (chain bool) {
	chain = m.addAlone(g, typ, rdata...)
	if last := m.records[len(m.records)-1]; g.r.IntN(4) == 0 && typ != dns.TypeRRSIG && typ != dns.TypeSIG {
		last.typ, last.rdata = dns.TypeRRSIG, []any{string([]byte{byte(typ >> 8), byte(typ)}) + signed[2:]}
		m.records = append(m.records, last)
	}
	return chain
}

func (m *response) addAlone(g gen, typ uint16, rdata ...any) (chain bool) {
	other := []string{g.word(), g.word()}
	where := g.r.IntN(5)
	if m.outsideChain {
		where = 2 + g.r.IntN(3)
	}
	switch {
	case where == 0 && typ != dns.TypeCNAME: // a queried CNAME is not followed
		m.qtype = typ
		m.records = append(m.records, record{answer, m.name, dns.TypeCNAME, []any{other}}, record{answer, other, typ, rdata})
		return true
	case where <= 1:
		m.qtype = typ
		m.records = append(m.records, record{answer, m.name, typ, rdata})
		return true
	case where == 2:
		m.answered()
		m.records = append(m.records, record{answer, other, typ, rdata})
	case where == 3:
		m.answered()
		m.records = append(m.records, record{authority, other, typ, rdata})
	default:
		m.answered()
		m.records = append(m.records, record{additional, other, typ, rdata})
	}
	return false
}

// answered adds an answer.
func (m *response) answered() {
	m.qtype = dns.TypeA
	m.records = append(m.records, record{answer, m.name, dns.TypeA, []any{"\xc0\x00\x02\x50"}})
}

// namePlaces returns the question, the zone, owners, and each name in the rdata of each type.
func namePlaces() []place {
	all := []place{
		{name: "question", put: func(m *response, x content, _ gen) bool {
			m.name = x.labels
			m.answered()
			return true
		}},
		{name: "zone", put: func(m *response, x content, _ gen) bool {
			m.zone = x.labels
			m.answered()
			return true
		}},
		{name: "alias", put: func(m *response, x content, _ gen) bool {
			m.qtype = dns.TypeA
			m.records = append(m.records, record{answer, m.name, dns.TypeCNAME, []any{x.labels}},
				record{answer, x.labels, dns.TypeA, []any{"\xc0\x00\x02\x50"}})
			return true
		}},
		{name: "target of DNAME", put: func(m *response, x content, g gen) bool {
			m.name, m.qtype = []string{g.word(), g.word()}, dns.TypeA
			m.records = append(m.records, record{answer, m.name[1:], dns.TypeDNAME, []any{[]string{"other", "test-tld"}}},
				record{answer, []string{m.name[0], "other", "test-tld"}, dns.TypeCNAME, []any{x.labels}})
			return true
		}},
		{name: "referral", put: func(m *response, x content, _ gen) bool {
			m.records = append(m.records, record{authority, m.name[1:], dns.TypeNS, []any{x.labels}})
			return true
		}},
		{name: "A6", put: func(m *response, x content, g gen) bool {
			return m.add(g, typeA6, "\x78\x07", x.labels)
		}},
	}
	for section, name := range []string{"answer", "authority", "additional"} {
		all = append(all, place{name: "owner in " + name, put: func(m *response, x content, _ gen) bool {
			m.answered()
			m.records = append(m.records, record{section, x.labels, dns.TypeA, []any{"\xc0\x00\x02\x51"}})
			return false
		}})
	}
	for _, typ := range slices.Sorted(maps.Keys(dns.TypeToRR)) {
		for i, parts := range nameParts(typ) {
			all = append(all, place{name: fmt.Sprintf("name %d of %s", i, dns.Type(typ)), put: func(m *response, x content, g gen) bool {
				return m.add(g, typ, parts[0], x.labels, parts[1])
			}})
		}
	}
	return all
}

// typeA6 is missing in miekg/dns.
const typeA6 = 38

// nameParts returns, for each name in the rdata of a type, the octets before and after it.
func nameParts(typ uint16) (all [][2]string) {
	if slices.Contains([]uint16{dns.TypeOPT, dns.TypeTSIG, dns.TypeTKEY, dns.TypeANY, dns.TypeNXNAME}, typ) {
		return nil
	}
	for n := 0; ; n++ {
		rr := dns.TypeToRR[typ]()
		*rr.Header() = dns.RR_Header{Name: ".", Rrtype: typ, Class: dns.ClassINET}
		v := reflect.ValueOf(rr).Elem()
		if v.Type().Field(0).Name != "Hdr" {
			v = v.Field(0) // embedded
		}
		names := 0
		for i := range v.NumField() {
			tag := v.Type().Field(i).Tag.Get("dns")
			if !strings.HasSuffix(tag, "domain-name") && tag != "ipsechost" && tag != "amtrelayhost" {
				continue
			}
			name := "other-name.test-tld."
			if names == n {
				name = "marked-name."
			}
			names++
			if v.Field(i).Kind() == reflect.Slice {
				v.Field(i).Set(reflect.ValueOf([]string{"other-name.test-tld.", name}))
			} else {
				v.Field(i).SetString(name)
			}
			if tag == "ipsechost" || tag == "amtrelayhost" {
				v.FieldByName("GatewayType").SetUint(uint64(dns.IPSECGatewayHost))
			}
		}
		if n == names {
			return all
		}
		if f := v.FieldByName("TypeCovered"); f.IsValid() {
			f.SetUint(uint64(dns.TypeA)) // else it is SIG(0)
		}
		b := make([]byte, 512)
		end, err := dns.PackRR(rr, b, 0, nil, false)
		if err != nil {
			panic(err)
		}
		before, after, _ := bytes.Cut(b[1+fixedFields:end], []byte("\x0bmarked-name\x00"))
		all = append(all, [2]string{string(before), string(after)})
	}
}

// fixedFields is the size in octets of type, class, TTL and length of rdata.
const fixedFields = 10

// charString returns a character-string.
func charString(s string) string { return string([]byte{byte(len(s))}) + s }

// divided returns a text as character-strings.
func divided(g gen, text string) (all string) {
	often := 1 + g.r.IntN(8)
	for len(text) > 0 {
		n := 1 + g.r.IntN(len(text))
		if g.r.IntN(often) == 0 {
			n = 1
		}
		all += charString(text[:n])
		text = text[n:]
	}
	return all
}

// param returns the rdata of SVCB with one parameter.
func param(key int, value string) string {
	return string(binary.BigEndian.AppendUint16([]byte{byte(key >> 8), byte(key)}, uint16(len(value)))) + value
}

var svcb = "\x00\x01" + string(wireName([]string{"service", "test-tld"}))

// signed is the rdata of RRSIG before the signature.
var signed = "\x00\x01" + strings.Repeat("\x00", 16) + string(wireName([]string{"signer", "test-tld"}))

// A field is rdata with one drawn part.
type field struct {
	name          string
	typ           uint16
	before, after string
	write         func(g gen, x content) string
}

// raw returns a text as octets. If the text may not be divided, octets 255 before it keep it
// from being read as character-strings.
func raw(_ gen, x content) string {
	if x.whole {
		return "\xff\xff\xff" + x.text
	}
	return x.text
}

// single returns a text as one character-string. A space separates the text from the length
// octet, which may be a digit or letter.
func single(_ gen, x content) string { return charString(" " + x.text) }

func several(g gen, x content) string {
	if x.whole {
		return charString("other") + single(g, x) + charString(" last")
	}
	return divided(g, x.text)
}

// textFields are the texts in rdata. A space separates an item from other strings, because
// strings are also judged joined.
var textFields = []field{
	{"TXT", dns.TypeTXT, "", "", single},
	{"strings of TXT", dns.TypeTXT, "", "", several},
	{"strings of SPF", dns.TypeSPF, "", "", several},
	{"strings of AVC", dns.TypeAVC, "", "", several},
	{"strings of NINFO", dns.TypeNINFO, "", "", several},
	{"strings of RESINFO", dns.TypeRESINFO, "", "", several},
	{"strings of ISDN", dns.TypeISDN, "", "", several},
	{"X25", dns.TypeX25, "", "", single},
	{"UINFO", dns.TypeUINFO, "", "", single},
	{"CPU of HINFO", dns.TypeHINFO, "", "\x02 x", single},
	{"OS of HINFO", dns.TypeHINFO, "\x02x ", "", single},
	{"altitude of GPOS", dns.TypeGPOS, "\x01x\x02y ", "", single},
	{"flags of NAPTR", dns.TypeNAPTR, "\x00\x01\x00\x02", "\x00\x00\x00", single},
	{"services of NAPTR", dns.TypeNAPTR, "\x00\x01\x00\x02\x00", "\x00\x00", single},
	{"regexp of NAPTR", dns.TypeNAPTR, "\x00\x01\x00\x02\x02u \x00", "\x00", single},
	{"strings of NAPTR", dns.TypeNAPTR, "\x00\x01\x00\x02", "\x00", func(g gen, x content) string {
		if x.whole || len(x.text) < 3 {
			return "\x00" + charString(x.text) + "\x00"
		}
		first := 1 + g.r.IntN(len(x.text)-2)
		second := first + 1 + g.r.IntN(len(x.text)-first-1)
		return charString(x.text[:first]) + charString(x.text[first:second]) + charString(x.text[second:])
	}},
	{"tag of CAA", dns.TypeCAA, "\x00", "ca.test-tld", single},
	{"value of CAA", dns.TypeCAA, "\x00\x05issue", "", raw},
	{"URI", dns.TypeURI, "\x00\x01\x00\x01", "", raw},
	{"parameter of SVCB", dns.TypeSVCB, svcb, "", func(g gen, x content) string { return param(7, raw(g, x)) }},
	{"ALPN of HTTPS", dns.TypeHTTPS, svcb, "", func(g gen, x content) string { return param(1, "\x02h2"+single(g, x)) }},
	{"second parameter of SVCB", dns.TypeSVCB, svcb + param(3, "\x01\xbb"), param(65280, "x"), func(g gen, x content) string {
		return param(6000, several(g, x))
	}},
	{"malformed parameter of SVCB", dns.TypeSVCB, svcb + "\xff\xff\xff\xff", "", raw},
	// The first octet 255 keeps the rest from being character-strings by chance.
	{"unknown type", 65280, "\xff", "", raw},
	{"strings of an unknown type", 65281, "", "", several},
	{"NULL", dns.TypeNULL, "", "", raw},
	{"L64", dns.TypeL64, "", "", raw},
	{"DNSKEY", dns.TypeDNSKEY, "\x01\x00\x03\x08", "", raw},
	{"CERT", dns.TypeCERT, "\x00\x01\x00\x00\x00", "", raw},
	{"OPENPGPKEY", dns.TypeOPENPGPKEY, "", "", raw},
	{"signature of RRSIG", dns.TypeRRSIG, signed, "", raw},
	{"bitmap of NSEC", dns.TypeNSEC, "\x04next\x00", "", raw},
	{"key of IPSECKEY", dns.TypeIPSECKEY, "\x01\x00\x02", "", raw},
	{"key of IPSECKEY with an address", dns.TypeIPSECKEY, "\x01\x01\x02\xc0\x00\x02\x51", "", raw},
	{"key of IPSECKEY with a name", dns.TypeIPSECKEY, "\x01\x03\x02\x04gate\x00", "", raw},
	{"IPSECKEY with an unknown gateway", dns.TypeIPSECKEY, "\xff\x04\x02", "", raw},
	{"strings of IPSECKEY with an unknown gateway", dns.TypeIPSECKEY, charString("\x04" + strings.Repeat("a", 30)), "", single},
	{"AMTRELAY with an unknown relay", dns.TypeAMTRELAY, "\xff\x7f", "", raw},
	{"A6 with an unknown length", typeA6, "\xff", "", raw},
	{"key of HIP", dns.TypeHIP, "", "", func(_ gen, x content) string {
		return "\x04\x02" + string([]byte{0, byte(len(x.text))}) + "hit\x00" + x.text
	}},
}

func textPlaces() []place {
	var all []place
	for _, f := range textFields {
		all = append(all, place{name: f.name, kind: inText, put: func(m *response, x content, g gen) bool {
			return m.add(g, f.typ, f.before+f.write(g, x)+f.after)
		}})
	}
	return all
}

// around returns octets with random octets before and after them.
func around(g gen, x content) string {
	before := g.junk(20)
	if x.apart {
		before = octets(g, 10+len(before))
	}
	if x.whole {
		return before + x.octets
	}
	return before + x.octets + g.junk(20)
}

// opaquePlaces returns the opaque octets in rdata, except the numbers of SRV and SOA. If a place
// has room for a fixed number of octets, zeros fill it.
func opaquePlaces() []place {
	var all []place
	for _, p := range []struct {
		name          string
		typ           uint16
		before, after string
		room          int
		random        bool
	}{
		{name: "unknown type", typ: 65280},
		{name: "NULL", typ: dns.TypeNULL},
		{name: "L32", typ: dns.TypeL32},
		{name: "URI", typ: dns.TypeURI, before: "\x00\x01\x00\x01"},
		{name: "value of CAA", typ: dns.TypeCAA, before: "\x00\x05issue"},
		{name: "parameter of SVCB", typ: dns.TypeSVCB, before: svcb + "\xff\x00\x00\x40"},
		{name: "key of IPSECKEY", typ: dns.TypeIPSECKEY, before: "\x01\x03\x02\x04gate\x00"},
		{name: "numbers of NAPTR", typ: dns.TypeNAPTR, after: "\x00\x00\x00\x00", room: 4},
		{name: "numbers of RRSIG", typ: dns.TypeRRSIG, before: "\x00\x01", after: "\x06signer\x00", room: 16},
		{name: "DNSKEY", typ: dns.TypeDNSKEY, before: "\x01\x00\x03\x08", random: true},
		{name: "DS", typ: dns.TypeDS, random: true},
		{name: "NSEC3", typ: dns.TypeNSEC3, random: true},
		{name: "signature of RRSIG", typ: dns.TypeRRSIG, before: signed, random: true},
		{name: "bitmap of NSEC", typ: dns.TypeNSEC, before: "\x04next\x00", random: true},
	} {
		kind := inOpaque
		if p.random {
			kind = inRandom
		}
		all = append(all, place{name: "octets of " + p.name, kind: kind, room: p.room, ends: p.after == "", put: func(m *response, x content, g gen) bool {
			octets := ""
			if p.room == 0 {
				octets = around(g, x)
			} else {
				octets = strings.Repeat("\x00", g.r.IntN(p.room-len(x.octets)+1)) + x.octets
				if p.after != "" || !x.whole {
					octets += strings.Repeat("\x00", p.room-len(octets))
				} else {
					octets = strings.Repeat("\x00", p.room-len(octets)) + octets
				}
			}
			return m.add(g, p.typ, p.before+octets+p.after)
		}})
	}
	return append(all, place{name: "octets of TXT", kind: inOpaque, ends: true, put: func(m *response, x content, g gen) bool {
		return m.add(g, dns.TypeTXT, charString(around(g, x)))
	}}, place{name: "octets of HIP", kind: inOpaque, ends: true, put: func(m *response, x content, g gen) bool {
		key := around(g, x)
		return m.add(g, dns.TypeHIP, "\x04\x02"+string([]byte{0, byte(len(key))})+"hit\x00"+key)
	}})
}

// addressPlaces returns the addresses in rdata.
func addressPlaces() []place {
	var all []place
	for _, p := range []struct {
		name           string
		typ            uint16
		before4, after string
		before6        string
		hints          bool
	}{
		{name: "A or AAAA"},
		{name: "IPSECKEY", typ: dns.TypeIPSECKEY, before4: "\x01\x01\x02", before6: "\x01\x02\x02", after: "key"},
		{name: "AMTRELAY", typ: dns.TypeAMTRELAY, before4: "\x01\x81", before6: "\x01\x02"},
		{name: "A6", typ: typeA6, before6: "\x00"},
		{name: "hint of HTTPS", typ: dns.TypeHTTPS, before4: svcb, before6: svcb, hints: true},
		{name: "APL", typ: dns.TypeAPL},
	} {
		for _, six := range []bool{false, true} {
			if p.typ == typeA6 && !six {
				continue
			}
			name := p.name + ", IPv4"
			if six {
				name = p.name + ", IPv6"
			}
			all = append(all, place{name: name, kind: inAddress, six: six, only: p.typ == 0, put: func(m *response, x content, g gen) bool {
				octets := string(x.addr.AsSlice())
				typ, before, key, family := p.typ, p.before4, dns.SVCB_IPV4HINT, 1
				if six {
					before, key, family = p.before6, dns.SVCB_IPV6HINT, 2
				}
				switch {
				case typ == 0 && six:
					typ = dns.TypeAAAA
				case typ == 0:
					typ = dns.TypeA
				case typ == dns.TypeAPL:
					shown := strings.TrimRight(octets, "\x00")
					if x.whole { // fewer octets than an address may be a prefix
						shown = octets
					}
					octets = "\x00\x01\x20\x04\xc0\x00\x02\x50" + string([]byte{0, byte(family), byte(8 * len(octets)), byte(len(shown)) | byte(g.r.IntN(2)<<7)}) + shown
				case p.hints:
					octets = param(int(key), strings.Repeat("\x20", len(octets)*g.r.IntN(2))+octets)
				}
				return m.add(g, typ, before+octets+p.after)
			}})
		}
	}
	return all
}

var allPlaces = slices.Concat(namePlaces(), textPlaces(), opaquePlaces(), addressPlaces())
