// Package dnswire reads DNS messages in wire format (RFC 1035 section 4): a walker that
// checks a whole message and finds its names, one table of rdata layouts, and functions that
// skip, expand and compare names.
//
// The package must not know the purpose of reading a message: neither what is local or
// forbidden, nor how rdata is shown. It imports only the standard library. Nothing in it allocates
// memory per message, except a Walker that meets a longer message than before.
//
// Package wiretest, for tests, and cmd/dnstap-pdns/internal/canary read and build messages with
// code of their own, because they check this package.
package dnswire

const (
	HeaderLen  = 12    // octets of the header, RFC 1035 section 4.1.1
	FixedLen   = 10    // octets of type, class, TTL and rdata length, RFC 1035 section 4.1.3
	MaxName    = 255   // octets of a name with the root, RFC 1035 section 2.3.4
	MaxMessage = 65535 // octets, RFC 1035 section 4.2.2
)

// Bits of [Walker].Flags (RFC 1035 section 4.1.1, RFC 4035 section 3).
const (
	FlagQR = 1 << 15
	FlagTC = 1 << 9
	FlagRD = 1 << 8
	FlagZ  = 1 << 6
	FlagAD = 1 << 5
	FlagCD = 1 << 4

	MaskOpcode = 0xf << 11
	MaskRcode  = 0xf
)

// Sections of resource records.
const (
	Answer = iota
	Authority
	Additional
)
