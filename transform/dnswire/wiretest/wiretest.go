// Package wiretest contains shared parts of tests of DNS wire format: a builder of messages
// octet by octet, a record of every type that miekg/dns knows, and valid and malformed
// messages. Only tests import it. It must not use the code under test.
package wiretest

import (
	_ "embed"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

//go:embed messages.hex
var messagesHex string

// TypeA6 is the type of RFC 2874, historic: miekg/dns does not know it.
const TypeA6 = 38

// Unhex reads octets in hexadecimal digits. White space, and text after a semicolon, is ignored.
func Unhex(tb testing.TB, text string) []byte {
	tb.Helper()
	var digits strings.Builder
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, ";")
		digits.WriteString(strings.Join(strings.Fields(line), ""))
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		tb.Fatalf("%q: %v", text, err)
	}
	return b
}

// RealMessages are DNS messages that real resolvers logged.
func RealMessages(tb testing.TB) [][]byte {
	tb.Helper()
	var messages [][]byte
	for line := range strings.Lines(messagesHex) {
		if b := Unhex(tb, line); len(b) > 0 {
			messages = append(messages, b)
		}
	}
	if len(messages) < 40 {
		tb.Fatalf("only %d messages", len(messages))
	}
	return messages
}

// Name packs a name without compression; labels are taken as they are.
func Name(name string) []byte {
	var b []byte
	for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		if label != "" {
			b = append(append(b, byte(len(label))), label...)
		}
	}
	return append(b, 0)
}

// A Message is a DNS message that is built octet by octet.
type Message struct{ Wire []byte }

// New begins a response with one question.
func New(qname string, qtype uint16) *Message {
	d := &Message{Wire: []byte{0x12, 0x34, 0x84, 0, 0, 1, 0, 0, 0, 0, 0, 0}}
	d.Add(Name(qname))
	d.Add(binary.BigEndian.AppendUint16(nil, qtype))
	return d.Add([]byte{0, dns.ClassINET})
}

// Add appends octets.
func (d *Message) Add(b []byte) *Message {
	d.Wire = append(d.Wire, b...)
	return d
}

// Record adds a record to a section and returns where its rdata begins.
func (d *Message) Record(section int, owner []byte, typ uint16, rdata []byte) int {
	count := d.Wire[6+2*section:]
	binary.BigEndian.PutUint16(count, binary.BigEndian.Uint16(count)+1)
	d.Add(owner)
	d.Add(binary.BigEndian.AppendUint16(nil, typ))
	d.Add([]byte{0, dns.ClassINET, 0, 0, 0, 60})
	d.Add(binary.BigEndian.AppendUint16(nil, uint16(len(rdata))))
	d.Add(rdata)
	return len(d.Wire) - len(rdata)
}

// With is Record for chains of calls.
func (d *Message) With(section int, owner string, typ uint16, rdata []byte) *Message {
	d.Record(section, Name(owner), typ, rdata)
	return d
}

// PointTo returns a pointer to an offset.
func PointTo(off int) []byte { return binary.BigEndian.AppendUint16(nil, 0xc000|uint16(off)) }

// KnownTypes are the types that miekg/dns can read and that answers contain.
func KnownTypes() []uint16 {
	types := slices.Sorted(maps.Keys(dns.TypeToRR))
	return slices.DeleteFunc(types, func(typ uint16) bool {
		return typ == dns.TypeOPT || typ == dns.TypeTSIG || typ == dns.TypeTKEY || typ == dns.TypeANY || typ == dns.TypeNXNAME
	})
}

// SampleRR returns a record of a type in which every field has a value, and no two names
// are equal.
func SampleRR(tb testing.TB, typ uint16) dns.RR {
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

// SampleRdata returns the uncompressed rdata of SampleRR.
func SampleRdata(tb testing.TB, typ uint16) []byte {
	tb.Helper()
	r := SampleRR(tb, typ)
	buf := make([]byte, 1024)
	n, err := dns.PackRR(r, buf, 0, nil, false)
	if err != nil {
		tb.Fatalf("%v: %v", r, err)
	}
	return buf[len(Name(r.Header().Name))+10 : n]
}

// FoldedTypes are the types of RFC 4034 section 6.2, without HINFO, which contains no name,
// and without NSEC (RFC 6840 section 5.1).
var FoldedTypes = []uint16{
	dns.TypeNS, dns.TypeMD, dns.TypeMF, dns.TypeCNAME, dns.TypeSOA, dns.TypeMB, dns.TypeMG, dns.TypeMR, dns.TypePTR,
	dns.TypeMINFO, dns.TypeMX, dns.TypeRP, dns.TypeAFSDB, dns.TypeRT, dns.TypeSIG, dns.TypePX, dns.TypeNXT,
	dns.TypeNAPTR, dns.TypeKX, dns.TypeSRV, dns.TypeDNAME, TypeA6, dns.TypeRRSIG,
}

// NamesOf returns the names in a record's rdata according to miekg/dns, in order.
func NamesOf(r dns.RR) []string {
	var names []string
	v := reflect.ValueOf(r).Elem()
	if v.NumField() == 1 && v.Field(0).Kind() == reflect.Struct && v.Type().Field(0).Name != "Hdr" {
		v = v.Field(0) // RRSIG in SIG, SVCB in HTTPS
	}
	for i := range v.NumField() {
		field := v.Field(i)
		switch tag := v.Type().Field(i).Tag.Get("dns"); {
		case strings.HasSuffix(tag, "domain-name") && field.Kind() == reflect.Slice:
			names = append(names, field.Interface().([]string)...)
		case strings.HasSuffix(tag, "domain-name"),
			(tag == "ipsechost" || tag == "amtrelayhost") && field.String() != "":
			names = append(names, field.String())
		}
	}
	return names
}

// Presentation returns the name at an offset as miekg/dns presents it.
func Presentation(tb testing.TB, msg []byte, off int) string {
	tb.Helper()
	name, _, err := dns.UnpackDomainName(msg, off)
	if err != nil {
		tb.Errorf("% x: %v", msg[off:], err)
	}
	return name
}

// QuestionHex is the question "q.example. A IN": its name is at 12 in a message, "example" at
// 14, the root at 22.
const QuestionHex = "01 71 07 6578616d706c65 00 0001 0001"

const (
	fixedA   = "0001 0001 0000003c 0004 c6336407" // after an owner: A IN 60 4 198.51.100.7
	fixedNS  = "0002 0001 0000003c "
	fixedTXT = "0010 0001 0000003c "
	emptyOPT = "00 0029 04d0 00008000 0000"
)

// WalkCases are messages, each with a name and whether it is well formed. They are the test
// table of the walker and seeds of fuzz targets.
var WalkCases = []struct {
	Name string
	Hex  string
	OK   bool
}{
	{"question only", "1234 8400 0001 0000 0000 0000" + QuestionHex, true},
	{"one of each section", "1234 8400 0001 0001 0001 0001" + QuestionHex +
		"c00c" + fixedA + "c00e" + fixedNS + "0005 026e73 c00e" + "c032" + fixedA, true},
	{"no question", "1234 8405 0000 0000 0000 0000", true},
	{"two questions", "1234 8400 0002 0000 0000 0000" + QuestionHex + QuestionHex, true},
	{"second question points to the first", "1234 8400 0002 0000 0000 0000" + QuestionHex + "c00c 0001 0001", true},
	{"octets after the last record", "1234 8400 0001 0000 0000 0000" + QuestionHex + "deadbeef", true},

	{"empty", "", false},
	{"half a header", "1234 8400 0001 0000 0000 00", false},
	{"header claims a question", "1234 8400 0001 0000 0000 0000", false},
	{"question without class", "1234 8400 0001 0000 0000 0000 0171 00 0001 00", false},
	{"name without root", "1234 8400 0001 0000 0000 0000 0171", false},
	{"label beyond the end", "1234 8400 0001 0000 0000 0000 3f71 00 0001 0001", false},
	{"answer count too high", "1234 8400 0001 0002 0000 0000" + QuestionHex + "c00c" + fixedA, false},
	{"authority count too high", "1234 8400 0001 0000 0001 0000" + QuestionHex, false},
	{"additional count too high", "1234 8400 0001 0000 0000 ffff" + QuestionHex, false},
	{"record without rdlength", "1234 8400 0001 0001 0000 0000" + QuestionHex + "c00c 0001 0001 0000003c 00", false},
	{"rdata beyond the end", "1234 8400 0001 0001 0000 0000" + QuestionHex + "c00c 0001 0001 0000003c 0004 c63364", false},

	{"pointer at the end, half", "1234 8400 0001 0001 0000 0000" + QuestionHex + "c0", false},
	{"pointer to itself", "1234 8400 0001 0001 0000 0000" + QuestionHex + "c01b" + fixedA, false},
	{"pointer forward", "1234 8400 0001 0002 0000 0000" + QuestionHex + "c02b" + fixedA + "c00c" + fixedA, false},
	{"pointer into its own name", "1234 8400 0001 0001 0000 0000" + QuestionHex + "0161 c01b" + fixedA, false},
	{"pointer into its own label", "1234 8400 0001 0001 0000 0000" + QuestionHex + "020000 c01c" + fixedA, false},
	{"pointer below 12", "1234 8400 0001 0001 0000 0000" + QuestionHex + "c00b" + fixedA, false},
	{"pointer to 0", "1234 8400 0001 0001 0000 0000" + QuestionHex + "c000" + fixedA, false},
	{"two pointers at each other", "1234 8400 0001 0002 0000 0000" + QuestionHex + "c02b" + fixedA + "c01b" + fixedA, false},
	{"question points to itself", "1234 8400 0001 0000 0000 0000 c00c 0001 0001", false},
	{"pointer to a pointer", "1234 8400 0001 0002 0000 0000" + QuestionHex + "c00c" + fixedA + "c01b" + fixedA, true},
	{"pointer to a root", "1234 8400 0001 0001 0000 0000" + QuestionHex + "0161 c016" + fixedA, true},
	{"pointer into the middle of a label", "1234 8400 0001 0001 0000 0000 0c 0171 07 6578616d706c65 00 00 00 0001 0001" +
		"c00d" + fixedA, true},
	{"pointer into a TXT", "1234 8400 0001 0002 0000 0000" + QuestionHex +
		"c00c" + fixedTXT + "0006 05 03777777 00" + "c028" + fixedA, true},
	{"pointer into a TXT that points forward", "1234 8400 0001 0002 0000 0000" + QuestionHex +
		"c00c" + fixedTXT + "0007 06 03777777 c02f" + "c028" + fixedA, false},
	{"pointer into a TXT with reserved bits", "1234 8400 0001 0002 0000 0000" + QuestionHex +
		"c00c" + fixedTXT + "0006 05 03777777 40" + "c028" + fixedA, false},
	{"pointer into fixed fields", "1234 8400 0001 0002 0000 0000" + QuestionHex + "c00c" + fixedA + "c021" + fixedA, true},
	{"pointer into OPT's rdata", "1234 8400 0001 0000 0000 0002" + QuestionHex +
		"00 0029 04d0 00008000 0009 fde9 0005 03777777 00" + "c02a" + fixedA, true},
	{"pointer to OPT's root", "1234 8400 0001 0000 0000 0002" + QuestionHex + emptyOPT + "0161 c01b" + fixedA, true},

	{"label type 0x40", "1234 8400 0001 0000 0000 0000 4171 00 0001 0001", false},
	{"label type 0x80", "1234 8400 0001 0000 0000 0000 8171 00 0001 0001", false},
	{"label type 0x80 in an owner", "1234 8400 0001 0001 0000 0000" + QuestionHex + "800c" + fixedA, false},

	{"OPT", "1234 8400 0001 0000 0000 0001" + QuestionHex + emptyOPT, true},
	{"OPT with an owner", "1234 8400 0001 0000 0000 0001" + QuestionHex + "0161 c00e 0029 04d0 00008000 0000", true},
	{"two OPT", "1234 8400 0001 0000 0000 0002" + QuestionHex + emptyOPT + emptyOPT, false},
	{"OPT in answer", "1234 8400 0001 0001 0000 0000" + QuestionHex + emptyOPT, false},
	{"OPT in authority", "1234 8400 0001 0000 0001 0000" + QuestionHex + emptyOPT, false},
	{"OPT before other records", "1234 8400 0001 0000 0000 0002" + QuestionHex + emptyOPT + "c00c" + fixedA, true},

	{"A too short", "1234 8400 0001 0001 0000 0000" + QuestionHex + "c00c 0001 0001 0000003c 0003 c63364", false},
	{"A without rdata", "1234 8400 0001 0001 0000 0000" + QuestionHex + "c00c 0001 0001 0000003c 0000", false},
	{"name longer than its rdata", "1234 8400 0001 0001 0000 0000" + QuestionHex + "c00c" + fixedNS + "0003 026e7300", false},
	{"name shorter than its rdata", "1234 8400 0001 0001 0000 0000" + QuestionHex + "c00c" + fixedNS + "0005 026e7300 00", false},
	{"rdata ends inside a pointer", "1234 8400 0001 0001 0000 0000" + QuestionHex + "c00c" + fixedNS + "0001 c00c", false},
	{"character-string beyond its rdata", "1234 8400 0001 0001 0000 0000" + QuestionHex + "c00c" + fixedTXT + "0003 03 6161 61", false},
	{"empty TXT", "1234 8400 0001 0001 0000 0000" + QuestionHex + "c00c" + fixedTXT + "0000", true},
}
