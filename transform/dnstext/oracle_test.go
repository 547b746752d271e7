package dnstext

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

// unreadable lists the types whose WDNS form miekg/dns does not read, with the reason.
var unreadable = map[uint16]string{
	dns.TypeNULL: "it has no form (RFC 1035 section 3.3.10)",
	dns.TypeSIG:  "wdns prints the signature in hexadecimal digits",
	dns.TypeNXT:  "wdns prints the bitmap in hexadecimal digits",
	dns.TypeX25:  "miekg/dns does not read the quotes of a character-string in it",
	typeWKS:      "miekg/dns does not know it",
	typeA6:       "miekg/dns does not know it",
}

// differs lists the types that wdns and miekg/dns print differently, with the difference.
var differs = map[uint16]string{
	dns.TypeRRSIG:      "times are numbers",
	dns.TypeNSEC3:      "the salt has lower case digits",
	dns.TypeNSEC3PARAM: "the salt has lower case digits",
	dns.TypeCAA:        "the tag has quotes",
	dns.TypeSVCB:       "only character-strings have quotes",
	dns.TypeHTTPS:      "only character-strings have quotes",
}

// TestRdataAgreesWithMiekg has random rdata of every type. miekg/dns must read it back in Zone
// form, and must print it as WDNS does.
func TestRdataAgreesWithMiekg(t *testing.T) {
	types := 0
	for typ := range uint16(1 << 9) {
		layout, _ := dnswire.Presentation(typ)
		if layout == "" || unreadable[typ] != "" {
			continue
		}
		types++
		r := generator{rand.New(rand.NewPCG(1, uint64(typ)))}
		for range 100 {
			data := r.rdata(layout)
			zone, _ := appendRdata(nil, data, typ, dns.ClassINET, Zone)
			rr, err := dns.NewRR(fmt.Sprintf("a. 1 IN %s %s", Type(typ), zone))
			if err != nil {
				t.Fatalf("%x of %s: %v", data, Type(typ), err)
			}
			if back := rdataOf(t, rr); !bytes.Equal(back, data) {
				t.Errorf("%s %s reads back as %x, want %x", Type(typ), zone, back, data)
			}
			if differs[typ] != "" {
				continue
			}
			wdns, ok := appendRdata(nil, data, typ, dns.ClassINET, WDNS)
			if want := strings.TrimPrefix(rr.String(), rr.Header().String()); !ok || string(wdns) != want {
				t.Errorf("%s %s, want %s", Type(typ), wdns, want)
			}
		}
	}
	if types < 30 {
		t.Errorf("%d types were compared", types)
	}
}

func rdataOf(t *testing.T, rr dns.RR) []byte {
	t.Helper()
	wire := make([]byte, 4096)
	n, err := dns.PackRR(rr, wire, 0, nil, false)
	if err != nil {
		t.Fatalf("%v: %v", rr, err)
	}
	return wire[len("\x01a\x00")+dnswire.FixedLen : n]
}

// A generator makes random rdata.
type generator struct{ *rand.Rand }

func (r generator) octets(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// plain returns n letters and digits, which need no escapes in names and tags.
func (r generator) plain(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"[r.IntN(62)]
	}
	return b
}

func counted(b []byte) []byte { return append([]byte{byte(len(b))}, b...) }

func (r generator) name() (b []byte) {
	for range r.IntN(4) {
		b = append(b, counted(r.plain(1+r.IntN(12)))...)
	}
	return append(b, 0)
}

// typ returns an RR type with the same mnemonic in wdns and miekg/dns.
func (r generator) typ() uint16 {
	for {
		t := uint16(1 + r.IntN(300))
		if Type(t) == dns.Type(t).String() {
			return t
		}
	}
}

func (r generator) rdata(layout dnswire.Layout) (b []byte) {
	for _, kind := range []byte(layout) {
		switch k := dnswire.Kind(kind); k {
		case dnswire.Name, dnswire.CasedName:
			b = append(b, r.name()...)
		case dnswire.Int8:
			b = append(b, r.octets(1)...)
		case dnswire.Int16:
			b = append(b, r.octets(2)...)
		case dnswire.Int32, dnswire.IPv4:
			b = append(b, r.octets(4)...)
		case dnswire.EUI48:
			b = append(b, r.octets(6)...)
		case dnswire.EUI64:
			b = append(b, r.octets(8)...)
		case dnswire.IPv6:
			b = append(b, r.octets(16)...)
		case dnswire.Type:
			b = binary.BigEndian.AppendUint16(b, r.typ())
		case dnswire.String:
			b = append(b, counted(r.octets(r.IntN(30)))...)
		case dnswire.Strings:
			for range 1 + r.IntN(4) {
				b = append(b, counted(r.octets(r.IntN(256)))...)
			}
		case dnswire.Tag:
			b = append(b, counted(r.plain(1+r.IntN(15)))...)
		case dnswire.Salt:
			b = append(b, counted(r.octets(r.IntN(10)))...)
		case dnswire.Hash:
			b = append(b, counted(r.octets(20))...)
		case dnswire.Hex, dnswire.Base64:
			b = append(b, r.octets(1+r.IntN(200))...)
		case dnswire.Text:
			b = append(b, r.octets(1+r.IntN(200))...)
		case dnswire.Bitmap:
			b = append(b, r.bitmap()...)
		case dnswire.Params:
			b = append(b, r.params()...)
		default:
			panic("no rdata of kind " + string(kind))
		}
	}
	return b
}

// bitmap returns a bitmap of two windows.
func (r generator) bitmap() []byte {
	var windows [2][32]byte
	for range 5 {
		t := r.typ()
		windows[t>>8][t&0xff/8] |= 0x80 >> (t & 7)
	}
	var b []byte
	for number, bits := range windows {
		if trimmed := bytes.TrimRight(bits[:], "\x00"); len(trimmed) > 0 {
			b = append(append(b, byte(number)), counted(trimmed)...)
		}
	}
	return b
}

// params returns some of the SvcParams, in order.
func (r generator) params() (b []byte) {
	for key, value := range [][]byte{
		svcMandatory:     {0, svcALPN, 0, svcPort},
		svcALPN:          append(counted(r.octets(1+r.IntN(5))), counted(r.plain(3))...),
		svcNoDefaultALPN: {},
		svcPort:          r.octets(2),
		svcIPv4Hint:      r.octets(8),
		svcECH:           r.octets(1 + r.IntN(100)),
		svcIPv6Hint:      r.octets(32),
		667:              r.octets(1 + r.IntN(100)),
	} {
		if value != nil && r.IntN(2) == 0 {
			b = binary.BigEndian.AppendUint16(b, uint16(key))
			b = binary.BigEndian.AppendUint16(b, uint16(len(value)))
			b = append(b, value...)
		}
	}
	return b
}
