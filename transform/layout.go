package transform

import (
	"encoding/binary"

	"github.com/miekg/dns"
)

const (
	typeA    = dns.TypeA
	typeAAAA = dns.TypeAAAA
	typeOPT  = dns.TypeOPT
	typeTSIG = dns.TypeTSIG
	typeTKEY = dns.TypeTKEY
	typeA6   = 38 // RFC 2874, historic; RFC 4034 lowercases its name
)

// A layout says how a type's rdata is made up, one step a letter:
//
//	n  name, lowercased             s  character-string
//	N  name, letter case kept       S  character-strings to the end
//	M  names to the end, case kept  x  octets to the end
//	a digit: that many octets       z  key, digest, signature, bitmap to the end
//	a  IPv4 address                 A  IPv6 address
//	h  HIP's header, identity, key  p  SVCB's parameters to the end
//
// Names are those that miekg/dns knows; which of them are lowercased is said by
// RFC 4034 section 6.2 as amended by RFC 6840 section 5.1.
type layout string

// layouts holds the types that are more than octets. The others are "x"; what
// is random by nature is "z", where four octets that equal an address mean nothing.
var layouts = [...]layout{
	dns.TypeA:          "a",
	dns.TypeNS:         "n",
	dns.TypeMD:         "n",
	dns.TypeMF:         "n",
	dns.TypeCNAME:      "n",
	dns.TypeSOA:        "nn992",
	dns.TypeMB:         "n",
	dns.TypeMG:         "n",
	dns.TypeMR:         "n",
	dns.TypePTR:        "n",
	dns.TypeHINFO:      "ss",
	dns.TypeMINFO:      "nn",
	dns.TypeMX:         "2n",
	dns.TypeTXT:        "S",
	dns.TypeRP:         "nn",
	dns.TypeAFSDB:      "2n",
	dns.TypeX25:        "s",
	dns.TypeISDN:       "S",
	dns.TypeRT:         "2n",
	dns.TypeNSAPPTR:    "N",
	dns.TypeSIG:        "99nz",
	dns.TypePX:         "2nn",
	dns.TypeGPOS:       "sss",
	dns.TypeAAAA:       "A",
	dns.TypeNXT:        "nz",
	dns.TypeSRV:        "6n",
	dns.TypeNAPTR:      "4sssn",
	dns.TypeKX:         "2n",
	typeA6:             layoutA6,
	dns.TypeDNAME:      "n",
	dns.TypeRRSIG:      "99nz",
	dns.TypeNSEC:       "Nz",
	dns.TypeTALINK:     "NN",
	dns.TypeSVCB:       "2Np", // RFC 9460 section 2.2
	dns.TypeHTTPS:      "2Np",
	dns.TypeSPF:        "S",
	dns.TypeUINFO:      "s",
	dns.TypeLP:         "2N",
	dns.TypeNINFO:      "S",
	dns.TypeURI:        "4x",
	dns.TypeCAA:        "1sx",
	dns.TypeAVC:        "S",
	dns.TypeRESINFO:    "S",
	dns.TypeKEY:        "z",
	dns.TypeCERT:       "z",
	dns.TypeDS:         "z",
	dns.TypeSSHFP:      "z",
	dns.TypeDNSKEY:     "z",
	dns.TypeDHCID:      "z",
	dns.TypeNSEC3:      "z",
	dns.TypeNSEC3PARAM: "z",
	dns.TypeTLSA:       "z",
	dns.TypeSMIMEA:     "z",
	dns.TypeRKEY:       "z",
	dns.TypeCDS:        "z",
	dns.TypeCDNSKEY:    "z",
	dns.TypeOPENPGPKEY: "z",
	dns.TypeCSYNC:      "z",
	dns.TypeZONEMD:     "z",
	dns.TypeEUI48:      "z",
	dns.TypeEUI64:      "z",
	dns.TypeLOC:        "z",
	dns.TypeHIP:        "hM", // RFC 8005 section 5
	dns.TypeIPSECKEY:   layoutIPSECKEY,
	dns.TypeAMTRELAY:   layoutAMTRELAY,
}

// Types whose make-up depends on what stands in them.
const (
	layoutA6       = "a6"
	layoutIPSECKEY = "ipseckey"
	layoutAMTRELAY = "amtrelay"
)

// layoutsA6 is by the number of octets in the suffix.
var layoutsA6 = [...]layout{
	"1n", "11n", "12n", "13n", "14n", "15n", "16n", "17n", "18n", "19n", "191n", "192n", "193n", "194n", "195n", "196n", "197n",
}

// layoutOf returns the steps for one record's rdata.
func layoutOf(typ uint16, rdata []byte) layout {
	if int(typ) >= len(layouts) || layouts[typ] == "" {
		return "x"
	}
	switch l := layouts[typ]; l {
	case layoutA6: // RFC 2874 section 3.1: prefix length, address suffix, prefix name
		switch {
		case len(rdata) < 1:
			return "1x"
		case rdata[0] > 128:
			return "x" // made up in a way that is not known
		case rdata[0] == 0:
			return "1A"
		}
		return layoutsA6[(128-int(rdata[0])+7)/8]
	case layoutIPSECKEY: // RFC 4025 section 2.1: precedence, gateway type, algorithm, gateway, key
		switch {
		case len(rdata) < 3:
			return "3x"
		case rdata[1] > 3:
			return "x" // made up in a way that is not known
		}
		return [...]layout{"3x", "3ax", "3Ax", "3Nx"}[rdata[1]]
	case layoutAMTRELAY: // RFC 8777 section 4.1: precedence, D bit and type, relay
		switch {
		case len(rdata) < 2:
			return "2x"
		case rdata[1]&0x7f > 3:
			return "x" // made up in a way that is not known
		}
		return [...]layout{"2", "2a", "2A", "2N"}[rdata[1]&0x7f]
	default:
		return l
	}
}

// rdata checks a record's rdata against its type, and reads the names in it.
func (w *walker) rdata(r rr) bool {
	off, end := int(r.rdata), int(r.end)
	switch r.typ { // most records are one of these
	case typeA:
		return end-off == 4
	case typeAAAA:
		return end-off == 16
	case dns.TypeNS, dns.TypeCNAME, dns.TypePTR:
		return w.name(off, false) == end
	case dns.TypeTXT:
		for off < end {
			off += 1 + int(w.msg[off])
		}
		return off == end
	case dns.TypeSIG:
		if end-off >= 2 && binary.BigEndian.Uint16(w.msg[off:]) == 0 {
			w.signed = true // SIG(0), RFC 2931
		}
	}
	c := newCursor(w.msg, r)
	for c.next() {
		if c.isName() && w.name(c.start, c.step == 'N') != c.at {
			return false
		}
	}
	return !c.bad
}
