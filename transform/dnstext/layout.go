package dnstext

import "github.com/miekg/dns"

// What the parts of a record's data are, a letter each in its layout. Those in
// capitals take all that is left.
const (
	partName     = 'n'
	partInt8     = '1'
	partInt16    = '2'
	partInt32    = '4'
	partIPv4     = 'a'
	partIPv6     = 'b'
	partIPv6Tail = 'c' // prefix length and the rest of an address (RFC 2874 section 3.1)
	partEUI48    = '6'
	partEUI64    = '8'
	partString   = 's' // character-string (RFC 1035 section 3.3)
	partTag      = 'g' // a character-string that stands without quotes in a zone file (RFC 8659 section 4.1.1)
	partType     = 't'
	partSalt     = 'p' // RFC 5155 section 3.2
	partHash     = 'h' // the same
	partStrings  = 'S'
	partHex      = 'X'
	partBase64   = 'B'
	partText     = 'Q' // one string without a length
	partBitmap   = 'M' // types (RFC 4034 section 4.1.2)
	partParams   = 'P' // SvcParams (RFC 9460 section 2.2)
)

// layout returns the parts of a type's data as wdns knows them, and whether only
// class IN has them. A type without a layout is shown as bytes (RFC 3597).
func layout(typ uint16) (parts string, onlyIN bool) {
	switch typ {
	case dns.TypeA:
		return "a", true
	case dns.TypeAAAA:
		return "b", true
	case dns.TypeNS, dns.TypeMD, dns.TypeMF, dns.TypeCNAME, dns.TypeMB, dns.TypeMG, dns.TypeMR, dns.TypePTR, dns.TypeDNAME:
		return "n", false
	case dns.TypeSOA:
		return "nn44444", false
	case dns.TypeMX, dns.TypeAFSDB, dns.TypeRT:
		return "2n", false
	case dns.TypeTXT, dns.TypeSPF:
		return "S", false
	case dns.TypeSRV:
		return "222n", true
	case dns.TypeSVCB, dns.TypeHTTPS:
		return "2nP", true
	case dns.TypeCAA:
		return "1gQ", true
	case dns.TypeDS, dns.TypeCDS:
		return "211X", false
	case dns.TypeDNSKEY, dns.TypeCDNSKEY:
		return "211B", false
	case dns.TypeRRSIG:
		return "t114442nB", false
	case dns.TypeNSEC:
		return "nM", false
	case dns.TypeNSEC3:
		return "112phM", false
	case dns.TypeNSEC3PARAM:
		return "112p", false
	}
	return rareLayout(typ)
}

func rareLayout(typ uint16) (parts string, onlyIN bool) {
	switch typ {
	case dns.TypeMINFO, dns.TypeRP:
		return "nn", false
	case dns.TypeHINFO, dns.TypeISDN:
		return "ss", false
	case dns.TypeX25:
		return "s", false
	case dns.TypeNULL:
		return "X", false
	case dns.TypeNXT:
		return "nX", false
	case dns.TypeSIG:
		return "2114442nX", false
	case typeWKS:
		return "41X", true
	case typeA6:
		return "cn", true
	case dns.TypeKX:
		return "2n", true
	case dns.TypePX:
		return "2nn", true
	case dns.TypeNAPTR:
		return "22sssn", true
	case dns.TypeTLSA:
		return "111X", false
	case dns.TypeOPENPGPKEY:
		return "B", false
	case dns.TypeCSYNC:
		return "42M", false
	case dns.TypeEUI48:
		return "6", false
	case dns.TypeEUI64:
		return "8", false
	case dns.TypeURI:
		return "22Q", false
	}
	return "", false
}
