package dnswire

// A Kind is the kind of a field of rdata. Each is a letter of a [Layout].
type Kind byte

// Kinds of fields. A Kind below 32 is that number of octets, of one or more numbers.
const (
	Name       Kind = 'n' // a name whose letter case does not matter (RFC 4034 section 6.2, RFC 6840 section 5.1)
	CasedName  Kind = 'N' // a name whose letter case is data
	CasedNames Kind = 'M' // such names to the end; Fields gives each as a CasedName

	Int8  Kind = '1' // a number of one octet
	Int16 Kind = '2'
	Int32 Kind = '4'
	Type  Kind = 't' // the number of an RR type

	IPv4     Kind = 'a'
	IPv6     Kind = 'A'
	IPv6Tail Kind = 'c' // prefix length and the rest of an address (RFC 2874 section 3.1)
	EUI48    Kind = 'e'
	EUI64    Kind = 'E'

	String  Kind = 's' // a character-string (RFC 1035 section 3.3)
	Tag     Kind = 'g' // a character-string that zone files contain without quotes (RFC 8659 section 4.1.1)
	Strings Kind = 'S' // character-strings to the end; Fields gives each as a String

	Salt      Kind = 'p' // octets after their number (RFC 5155 section 3.2), random by nature
	Hash      Kind = 'h' // the same
	HIPHeader Kind = 'H' // lengths, algorithm, host identity and key (RFC 8005 section 5)

	// These take all octets that are left.
	Hex    Kind = 'X' // a digest or other octets that zone files contain in hexadecimal digits
	Base64 Kind = 'B' // a key or signature
	Bitmap Kind = 'b' // RR types (RFC 4034 section 4.1.2)
	Text   Kind = 'Q' // one string without its length
	Params Kind = 'P' // SvcParams (RFC 9460 section 2.2)
	Opaque Kind = 'x' // octets of any meaning
	Random Kind = 'z' // keys, digests, signatures, bitmaps: octets that are an address or a name only by chance
)

// A Layout is the fields of rdata in order, a letter for each Kind.
type Layout string

const opaque = Layout(rune(Opaque))

// layouts holds the types whose rdata is more than octets. A type with several layouts is
// in [coarseOf].
//
// fields are all fields in order. coarse is the layout of a [Walker] if it does not check
// every field, so that it does not refuse a message for a malformed key or digest.
// generic: wdns, the library of nmsgtool, does not know the type, and shows octets as RFC
// 3597 section 5 does. onlyIN: wdns knows the type in class IN only.
//
// Package canary has a table of its own, because it checks the work that is done with this one.
var layouts = [...]struct {
	fields, coarse  Layout
	generic, onlyIN bool
}{
	typeA:          {fields: "a", onlyIN: true},
	typeNS:         {fields: "n"},
	typeMD:         {fields: "n"},
	typeMF:         {fields: "n"},
	typeCNAME:      {fields: "n"},
	typeSOA:        {fields: "nn44444"},
	typeMB:         {fields: "n"},
	typeMG:         {fields: "n"},
	typeMR:         {fields: "n"},
	typeNULL:       {fields: "X", coarse: "x"},
	typeWKS:        {fields: "41X", coarse: "x", onlyIN: true},
	typePTR:        {fields: "n"},
	typeHINFO:      {fields: "ss"},
	typeMINFO:      {fields: "nn"},
	typeMX:         {fields: "2n"},
	typeTXT:        {fields: "S"},
	typeRP:         {fields: "nn"},
	typeAFSDB:      {fields: "2n"},
	typeX25:        {fields: "s"},
	typeISDN:       {fields: "ss", coarse: "S"}, // the second is optional, RFC 1183 section 3.2
	typeRT:         {fields: "2n"},
	typeNSAPPTR:    {fields: "N", generic: true},
	typeSIG:        {fields: "2114442nX"},
	typeKEY:        {fields: "z", generic: true},
	typePX:         {fields: "2nn", onlyIN: true},
	typeGPOS:       {fields: "sss", generic: true},
	typeAAAA:       {fields: "A", onlyIN: true},
	typeLOC:        {fields: "z", generic: true},
	typeNXT:        {fields: "nX"},
	typeSRV:        {fields: "222n", onlyIN: true},
	typeNAPTR:      {fields: "22sssn", onlyIN: true},
	typeKX:         {fields: "2n", onlyIN: true},
	typeCERT:       {fields: "z", generic: true},
	typeA6:         {fields: "cn", onlyIN: true},
	typeDNAME:      {fields: "n"},
	typeDS:         {fields: "211X", coarse: "z"},
	typeSSHFP:      {fields: "z", generic: true},
	typeRRSIG:      {fields: "t114442nB"},
	typeNSEC:       {fields: "Nb"},
	typeDNSKEY:     {fields: "211B", coarse: "z"},
	typeDHCID:      {fields: "z", generic: true},
	typeNSEC3:      {fields: "112phb", coarse: "z"},
	typeNSEC3PARAM: {fields: "112p", coarse: "z"},
	typeTLSA:       {fields: "111X", coarse: "z"},
	typeSMIMEA:     {fields: "z", generic: true},
	typeHIP:        {fields: "HM", generic: true},
	typeNINFO:      {fields: "S", generic: true},
	typeRKEY:       {fields: "z", generic: true},
	typeTALINK:     {fields: "NN", generic: true},
	typeCDS:        {fields: "211X", coarse: "z"},
	typeCDNSKEY:    {fields: "211B", coarse: "z"},
	typeOPENPGPKEY: {fields: "B"},
	typeCSYNC:      {fields: "42b", coarse: "z"},
	typeZONEMD:     {fields: "z", generic: true},
	typeSVCB:       {fields: "2NP", onlyIN: true},
	typeHTTPS:      {fields: "2NP", onlyIN: true},
	typeSPF:        {fields: "S"},
	typeUINFO:      {fields: "s", generic: true},
	typeLP:         {fields: "2N", generic: true},
	typeEUI48:      {fields: "e", coarse: "z"},
	typeEUI64:      {fields: "E", coarse: "z"},
	typeURI:        {fields: "22Q"},
	typeCAA:        {fields: "1gQ", onlyIN: true},
	typeAVC:        {fields: "S", generic: true},
	typeRESINFO:    {fields: "S", generic: true},
}

// Presentation returns all fields of a type's rdata, and whether they are known in class IN
// only; an empty Layout if the rdata is shown as octets (RFC 3597 section 5). It knows what
// wdns, the library of nmsgtool, knows.
func Presentation(typ uint16) (l Layout, onlyIN bool) {
	if int(typ) >= len(layouts) || layouts[typ].generic {
		return "", false
	}
	return layouts[typ].fields, layouts[typ].onlyIN
}

// coarse contains the layouts of a Walker, by type: successive numbers are one field, and
// kinds that differ only in presentation are the same kind.
var coarse = func() (all [len(layouts)]Layout) {
	for typ, l := range layouts {
		switch {
		case l.fields == "":
			all[typ] = opaque
		case l.coarse != "":
			all[typ] = l.coarse
		default:
			all[typ] = merged(l.fields)
		}
	}
	return all
}()

func merged(fields Layout) Layout {
	var all []byte
	number := Kind(0) // octets of numbers so far
	for _, c := range []byte(fields) {
		k := Kind(c)
		switch k {
		case Int8, Int16, Int32:
			number += k - '0'
			continue
		case Type:
			number += 2
			continue
		case Tag:
			k = String
		case Text:
			k = Opaque
		case Hex, Base64, Bitmap:
			k = Random
		}
		if number > 0 {
			all = append(all, byte(number))
			number = 0
		}
		all = append(all, byte(k))
	}
	if number > 0 {
		all = append(all, byte(number))
	}
	return Layout(all)
}

// coarseOf returns the layout in which a Walker reads rdata of a type. The rdata itself decides
// for types with several layouts.
func coarseOf(typ uint16, rdata []byte) Layout {
	switch typ {
	case typeA6: // RFC 2874 section 3.1: a prefix of length 0 has no name
		switch {
		case len(rdata) > 0 && rdata[0] > 128:
			return opaque // an unknown form
		case len(rdata) > 0 && rdata[0] == 0:
			return "\x01A"
		}
	case typeIPSECKEY: // RFC 4025 section 2.1: precedence, gateway type, algorithm, gateway, key
		switch {
		case len(rdata) < 3:
			return "\x03x"
		case rdata[1] > 3:
			return opaque // an unknown form
		}
		return [...]Layout{"\x03x", "\x03ax", "\x03Ax", "\x03Nx"}[rdata[1]]
	case typeAMTRELAY: // RFC 8777 section 4.1: precedence, D bit and type, relay
		switch {
		case len(rdata) < 2:
			return "\x02x"
		case rdata[1]&0x7f > 3:
			return opaque // an unknown form
		}
		return [...]Layout{"\x02", "\x02a", "\x02A", "\x02N"}[rdata[1]&0x7f]
	}
	if int(typ) >= len(coarse) {
		return opaque
	}
	return coarse[typ]
}

// RR types (IANA, Domain Name System Parameters).
const (
	typeA          = 1
	typeNS         = 2
	typeMD         = 3
	typeMF         = 4
	typeCNAME      = 5
	typeSOA        = 6
	typeMB         = 7
	typeMG         = 8
	typeMR         = 9
	typeNULL       = 10
	typeWKS        = 11
	typePTR        = 12
	typeHINFO      = 13
	typeMINFO      = 14
	typeMX         = 15
	typeTXT        = 16
	typeRP         = 17
	typeAFSDB      = 18
	typeX25        = 19
	typeISDN       = 20
	typeRT         = 21
	typeNSAPPTR    = 23
	typeSIG        = 24
	typeKEY        = 25
	typePX         = 26
	typeGPOS       = 27
	typeAAAA       = 28
	typeLOC        = 29
	typeNXT        = 30
	typeSRV        = 33
	typeNAPTR      = 35
	typeKX         = 36
	typeCERT       = 37
	typeA6         = 38
	typeDNAME      = 39
	typeOPT        = 41
	typeDS         = 43
	typeSSHFP      = 44
	typeIPSECKEY   = 45
	typeRRSIG      = 46
	typeNSEC       = 47
	typeDNSKEY     = 48
	typeDHCID      = 49
	typeNSEC3      = 50
	typeNSEC3PARAM = 51
	typeTLSA       = 52
	typeSMIMEA     = 53
	typeHIP        = 55
	typeNINFO      = 56
	typeRKEY       = 57
	typeTALINK     = 58
	typeCDS        = 59
	typeCDNSKEY    = 60
	typeOPENPGPKEY = 61
	typeCSYNC      = 62
	typeZONEMD     = 63
	typeSVCB       = 64
	typeHTTPS      = 65
	typeSPF        = 99
	typeUINFO      = 100
	typeLP         = 107
	typeEUI48      = 108
	typeEUI64      = 109
	typeTKEY       = 249
	typeTSIG       = 250
	typeURI        = 256
	typeCAA        = 257
	typeAVC        = 258
	typeAMTRELAY   = 260
	typeRESINFO    = 261
)
