package dnstext

import (
	"fmt"

	"github.com/miekg/dns"
)

// Type returns the mnemonic of a record type, or TYPEn (RFC 3597 section 5) if wdns has none.
func Type(t uint16) string {
	switch t {
	case typeWKS:
		return "WKS"
	case typeNSAP:
		return "NSAP"
	case typeA6:
		return "A6"
	case typeSINK:
		return "SINK"
	}
	if namedByWDNS(t) {
		if s, ok := dns.TypeToString[t]; ok {
			return s
		}
	}
	return fmt.Sprintf("TYPE%d", t)
}

// Types that wdns knows and miekg/dns does not.
const (
	typeWKS  = 11
	typeNSAP = 22
	typeA6   = 38
	typeSINK = 40
)

// namedByWDNS reports, for a type that miekg/dns has a mnemonic for, whether wdns has one too.
// Without this check a newer miekg/dns would change what is printed.
func namedByWDNS(t uint16) bool {
	switch {
	case t == dns.TypeNone, t == dns.TypeSMIMEA, t == dns.TypeZONEMD:
		return false
	case t <= dns.TypeHTTPS, t >= dns.TypeSPF && t <= dns.TypeEUI64, t >= dns.TypeTKEY && t <= dns.TypeCAA:
		return true
	}
	return t == dns.TypeTA || t == dns.TypeDLV
}

// Class returns the mnemonic of a class, or CLASSn (RFC 3597 section 5) if wdns has none.
func Class(c uint16) string {
	if s := ClassMnemonic(c); s != "" {
		return s
	}
	return fmt.Sprintf("CLASS%d", c)
}

// ClassMnemonic returns the mnemonic of a class, or "" if wdns has none.
func ClassMnemonic(c uint16) string {
	switch c {
	case dns.ClassINET:
		return "IN"
	case dns.ClassCHAOS:
		return "CH"
	case dns.ClassHESIOD:
		return "HS"
	case dns.ClassNONE:
		return "NONE"
	case dns.ClassANY:
		return "ANY"
	}
	return ""
}

// Rcode returns the mnemonic of an rcode, or its number if wdns has none.
func Rcode(rcode uint16) string {
	if s := RcodeMnemonic(rcode); s != "" {
		return s
	}
	return fmt.Sprint(rcode)
}

var rcodes = [...]string{"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET",
	"NOTAUTH", "NOTZONE", dns.RcodeBadVers: "BADVERS"}

// RcodeMnemonic returns the mnemonic of an rcode, or "" if wdns has none.
func RcodeMnemonic(rcode uint16) string { return at(rcodes[:], rcode) }

var opcodes = [...]string{"QUERY", "IQUERY", "STATUS", dns.OpcodeNotify: "NOTIFY", dns.OpcodeUpdate: "UPDATE"}

// OpcodeMnemonic returns the mnemonic of an opcode, or "" if wdns has none.
func OpcodeMnemonic(opcode uint16) string { return at(opcodes[:], opcode) }

func at(names []string, i uint16) string {
	if int(i) >= len(names) {
		return ""
	}
	return names[i]
}
