package dnstext

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// appendRdata appends rdata that is not part of a message.
func appendRdata(b, data []byte, typ, class uint16, f Form) ([]byte, bool) {
	m := Message{wire: data}
	return m.AppendRdata(b, &RRset{Type: typ, Class: class}, Rdata{0, len(data)}, f)
}

func TestRdataIsPrintedAsWDNSDoes(t *testing.T) {
	for _, tt := range []struct {
		name string
		typ  uint16
		data string // hex
		want string
	}{
		{"A", dns.TypeA, "c0000201", "192.0.2.1"},
		{"AAAA", dns.TypeAAAA, "20010db8 00000000 00000000 00000001", "2001:db8::1"},
		{"AAAA with an IPv4 address inside", dns.TypeAAAA, "00000000 00000000 0000ffff c0000201", "::ffff:192.0.2.1"},
		{"AAAA of the IPv4-compatible kind", dns.TypeAAAA, "00000000 00000000 00000000 c0000201", "::192.0.2.1"},
		{"AAAA loopback", dns.TypeAAAA, "00000000 00000000 00000000 00000001", "::1"},
		{"AAAA with a single zero group", dns.TypeAAAA, "20010db8 00000001 00010001 00010001", "2001:db8:0:1:1:1:1:1"},
		{"no data", dns.TypeA, "", ""},
		{"MX", dns.TypeMX, "000a 046d61696c00", "10 mail."},
		{"root as a name", dns.TypeNS, "00", "."},
		{"TXT keeps its strings apart", dns.TypeTXT, "0161 00 0162", `"a" "" "b"`},
		{"TXT escapes", dns.TypeTXT, "08 22 5c 20 1b 7f ff 3b 2e", `"\"\\ \027\127\255;."`},
		{"HINFO", dns.TypeHINFO, "0141 0142", `"A" "B"`},
		{"SRV", dns.TypeSRV, "0001 0002 01bb 016100", "1 2 443 a."},
		{"NAPTR", dns.TypeNAPTR, "0001 0002 0173 00 0221 21 00", `1 2 "s" "" "!!" .`},
		{"CAA", dns.TypeCAA, "00 05 6973737565 63612e74657374", `0 "issue" "ca.test"`},
		{"DS", dns.TypeDS, "ec45 05 02 2bb183af", "60485 5 2 2BB183AF"},
		{"long DNSKEY without spaces", dns.TypeDNSKEY, "0100 03 05" + strings.Repeat("00", 43),
			"256 3 5 " + strings.Repeat("A", 56) + "AA=="},
		{"RRSIG with times as numbers", dns.TypeRRSIG, "0006 05 02 00000e10 65000000 64000000 0007 016100 ffff",
			"SOA 5 2 3600 1694498816 1677721600 7 a. //8="},
		{"RRSIG over a type without a name", dns.TypeRRSIG, "fde8 05 02 00000e10 65000000 64000000 0007 00 ff",
			"TYPE65000 5 2 3600 1694498816 1677721600 7 . /w=="},
		{"NSEC with types beyond 255", dns.TypeNSEC, "00 0001 40 0101 40 8001 40", ". A CAA DLV"},
		{"NSEC with a window without types", dns.TypeNSEC, "00 0001 00", "."},
		{"NSEC3", dns.TypeNSEC3, "01 00 000a 02abcd 05 0102030405 0001 40", "1 0 10 abcd 04106105 A"},
		{"NSEC3 without salt and hash", dns.TypeNSEC3, "01 00 0000 00 00 0001 40", "1 0 0 - 0 A"},
		{"NSEC3PARAM", dns.TypeNSEC3PARAM, "01 00 0005 00", "1 0 5 -"},
		{"TLSA", dns.TypeTLSA, "03 01 01 d2ab", "3 1 1 D2AB"},
		{"CSYNC", dns.TypeCSYNC, "00000042 0003 0004 60000008", "66 3 A NS AAAA"},
		{"EUI48", dns.TypeEUI48, "abcdef010203", "ab-cd-ef-01-02-03"},
		{"URI", dns.TypeURI, "000a 0001 6674703a2f2f61", `10 1 "ftp://a"`},
		{"A6", typeA6, "40 0000000000000001 016100", "64 ::1 a."},
		{"A6 without a prefix name", typeA6, "00 20010db8000000000000000000000001", "0 2001:db8::1"},
		{"SVCB alias", dns.TypeSVCB, "0000 016100", "0 a."},
		{"SVCB port and unknown key", dns.TypeSVCB, "0001 00 0003 0002 0035 029b 0002 68d2", `1 . port=53 key667="h\210"`},
		{"HTTPS", dns.TypeHTTPS, "0001 00 0001 0006 026832 026833 0004 0008 c0000201 c0000202 0006 0010 20010db8000000000000000000000001",
			`1 . alpn="h2,h3" ipv4hint=192.0.2.1,192.0.2.2 ipv6hint=2001:db8::1`},
		{"HTTPS mandatory, no-default-alpn, ech", dns.TypeHTTPS, "0001 00 0000 0004 0001 0009 0001 0003 026832 0002 0000 0005 0003 010203",
			`1 . mandatory=alpn,key9 alpn="h2" no-default-alpn ech=AQID`},
		{"alpn is escaped twice", dns.TypeSVCB, "0001 00 0001 000c 08 665c6f6f2c626172 02 6832", `1 . alpn="f\\\\oo\\,bar,h2"`},
		{"a type without a layout", dns.TypeSSHFP, "0102 abcd", `\# 4 01 02 ab cd `},
		{"a type without a name", 65000, "", `\# 0 `},
		{"NULL", dns.TypeNULL, "00ff", "00FF"},
		{"a name's special characters", dns.TypeNS, "0b 2e5c22282924403b201b2a 00", `\.\\"()$@;\032\027*.`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			data := unhex(t, tt.data)
			got, ok := appendRdata([]byte("x"), data, tt.typ, dns.ClassINET, WDNS)
			if !ok || string(got) != "x"+tt.want {
				t.Errorf("got %q, %v; want %q", got[1:], ok, tt.want)
			}
		})
	}
}

func TestMalformedRdataIsRefused(t *testing.T) {
	for _, tt := range []struct {
		name string
		typ  uint16
		data string
	}{
		{"A too short", dns.TypeA, "c00002"},
		{"A too long", dns.TypeA, "c000020100"},
		{"name without an end", dns.TypeNS, "0161"},
		{"name beyond the data", dns.TypeNS, "05616263"},
		{"pointer to itself", dns.TypeNS, "c000"},
		{"pointer forward", dns.TypeNS, "c00200"},
		{"label of a reserved kind", dns.TypeNS, "4000"},
		{"octets after the name", dns.TypeNS, "0000"},
		{"string beyond the data", dns.TypeTXT, "0261"},
		{"salt beyond the data", dns.TypeNSEC3PARAM, "01 00 0005 02 ab"},
		{"bitmap without bits", dns.TypeNSEC, "00 0000"},
		{"bitmap of 33 bytes", dns.TypeNSEC, "00 0021" + strings.Repeat("ff", 33)},
		{"half a bitmap", dns.TypeNSEC, "00 00"},
		{"A6 prefix over 128", typeA6, "81"},
		{"alpn that is empty", dns.TypeSVCB, "0001 00 0001 0000"},
		{"alpn beyond its value", dns.TypeSVCB, "0001 00 0001 0002 0268"},
		{"no-default-alpn with a value", dns.TypeSVCB, "0001 00 0002 0001 00"},
		{"port of one byte", dns.TypeSVCB, "0001 00 0003 0001 35"},
		{"hint of three bytes", dns.TypeSVCB, "0001 00 0004 0003 010203"},
		{"key 65535", dns.TypeSVCB, "0001 00 ffff 0000"},
		{"key without a length", dns.TypeSVCB, "0001 00 0001 00"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			data := unhex(t, tt.data)
			got, ok := appendRdata([]byte("x"), data, tt.typ, dns.ClassINET, WDNS)
			if ok || string(got) != "x" {
				t.Errorf("got %q, %v; want a refusal with nothing appended", got, ok)
			}
		})
	}
}

func TestRdataOfAnotherClassIsNotReadAsIN(t *testing.T) {
	data := []byte{192, 0, 2, 1}
	got, ok := appendRdata(nil, data, dns.TypeA, dns.ClassCHAOS, WDNS)
	if !ok || len(got) != 0 {
		t.Errorf("got %q, %v; want nothing, as wdns prints", got, ok)
	}
}

func TestOptionsArePrintedAsWDNSDoes(t *testing.T) {
	for _, tt := range []struct{ name, options, want string }{
		{"extended error", "000f 0002 0014", "EDE: 20 (Not Authoritative): ()"},
		{"extended error with text", "000f 0006 0000 41 1b 0a 42", "EDE: 0 (Other Error): (A..B)"},
		{"extended error beyond the RFC's list", "000f 0002 0019", "EDE: 25: ()"},
		{"extended error cut short", "000f 0001 00", "EDE:  ### PARSE ERROR #12 ###"},
		{"subnet", "0008 0007 0001 18 00 c00002", "CLIENT-SUBNET: 192.0.2.0/24/0"},
		{"subnet IPv6", "0008 0008 0002 20 00 20010db8", "CLIENT-SUBNET: 2001:db8::/32/0"},
		{"subnet without address", "0008 0004 0001 00 00", "CLIENT-SUBNET: 0.0.0.0/0/0"},
		{"subnet of an unknown family", "0008 0004 0003 00 00", "CLIENT-SUBNET:  ### PARSE ERROR #12 ###"},
		{"subnet with a long address", "0008 0009 0001 20 00 c000020100", "CLIENT-SUBNET:  ### PARSE ERROR #12 ###"},
		{"cookie", "000a 0003 41 00 22", `OPT=10: 41 00 22 ("A."")`},
		{"empty", "000c 0000", `OPT=12: ("")`},
		{"cut in the code", "00", " ### PARSE ERROR ###"},
		{"cut in the length", "000a 00", "OPT=10: ### PARSE ERROR ###"},
		{"cut in the data", "000a 0002 41", "OPT=10: ### PARSE ERROR ###"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, rest := AppendOption(nil, unhex(t, tt.options))
			if string(got) != tt.want || len(rest) != 0 {
				t.Errorf("got %q, rest % x; want %q", got, rest, tt.want)
			}
		})
	}
}
