package present

import (
	"strconv"

	"github.com/miekg/dns"
)

// appendType appends the mnemonic of a record type, or TYPEn (RFC 3597 section
// 5) where wdns has none.
func appendType(b []byte, t uint16) []byte {
	switch t {
	case typeWKS:
		return append(b, "WKS"...)
	case typeNSAP:
		return append(b, "NSAP"...)
	case typeA6:
		return append(b, "A6"...)
	case typeSINK:
		return append(b, "SINK"...)
	}
	if namedByWDNS(t) {
		if s, ok := dns.TypeToString[t]; ok {
			return append(b, s...)
		}
	}
	return strconv.AppendUint(append(b, "TYPE"...), uint64(t), 10)
}

// Types that wdns knows and miekg/dns does not.
const (
	typeWKS  = 11
	typeNSAP = 22
	typeA6   = 38
	typeSINK = 40
)

// namedByWDNS reports whether wdns has a mnemonic for a type that miekg/dns has
// one for. Without it, a newer miekg/dns would change what cat prints.
func namedByWDNS(t uint16) bool {
	switch {
	case t == dns.TypeNone, t == dns.TypeSMIMEA, t == dns.TypeZONEMD:
		return false
	case t <= dns.TypeHTTPS, t >= dns.TypeSPF && t <= dns.TypeEUI64, t >= dns.TypeTKEY && t <= dns.TypeCAA:
		return true
	}
	return t == dns.TypeTA || t == dns.TypeDLV
}

// className returns the mnemonic of a class, or "" where wdns has none.
func className(c uint16) string {
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

// appendClass appends the mnemonic of a class, or CLASSn.
func appendClass(b []byte, c uint16) []byte {
	if s := className(c); s != "" {
		return append(b, s...)
	}
	return strconv.AppendUint(append(b, "CLASS"...), uint64(c), 10)
}

// rcodeName returns the mnemonic of an rcode, or "" where wdns has none.
func rcodeName(rcode uint16) string {
	switch rcode {
	case dns.RcodeSuccess:
		return "NOERROR"
	case dns.RcodeFormatError:
		return "FORMERR"
	case dns.RcodeServerFailure:
		return "SERVFAIL"
	case dns.RcodeNameError:
		return "NXDOMAIN"
	case dns.RcodeNotImplemented:
		return "NOTIMP"
	case dns.RcodeRefused:
		return "REFUSED"
	case dns.RcodeYXDomain:
		return "YXDOMAIN"
	case dns.RcodeYXRrset:
		return "YXRRSET"
	case dns.RcodeNXRrset:
		return "NXRRSET"
	case dns.RcodeNotAuth:
		return "NOTAUTH"
	case dns.RcodeNotZone:
		return "NOTZONE"
	case dns.RcodeBadVers:
		return "BADVERS"
	}
	return ""
}

// appendRcode appends the mnemonic of an rcode, or its number.
func appendRcode(b []byte, rcode uint16) []byte {
	if s := rcodeName(rcode); s != "" {
		return append(b, s...)
	}
	return strconv.AppendUint(b, uint64(rcode), 10)
}

// opcodeName returns the mnemonic of an opcode, or "" where wdns has none.
func opcodeName(opcode uint16) string {
	switch opcode {
	case dns.OpcodeQuery:
		return "QUERY"
	case dns.OpcodeIQuery:
		return "IQUERY"
	case dns.OpcodeStatus:
		return "STATUS"
	case dns.OpcodeNotify:
		return "NOTIFY"
	case dns.OpcodeUpdate:
		return "UPDATE"
	}
	return ""
}
