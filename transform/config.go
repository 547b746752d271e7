package transform

import (
	"net/netip"
	"time"
)

// Config is a policy as an operator writes it. The zero value is stricter than
// the default: it lets no rcode pass.
type Config struct {
	PairingTimeout time.Duration // how long a query waits for its response, in message time

	// Outward.
	Forwarded    bool
	Unanswered   bool
	LocalServers bool
	Rcodes       []uint8 // header rcodes that make a record

	// Scrub.
	KeepResolver bool // scrub.resolver_address = "keep": no rule about the resolver's addresses applies
	// Resolvers are the resolver's own addresses and prefixes, in addition to the
	// addresses that messages show. Every address inside a prefix of 24 bits or more
	// (IPv6 48) is the resolver's. A shorter prefix only selects packets: addresses
	// inside it become the resolver's when a message shows them.
	Resolvers []netip.Prefix

	LocalNames           []string // presentation form, in A-labels or U-labels
	KeepLocalNamesInside bool     // scrub.local_names_inside = "keep": a local name inside a foreign name may leave
	LocalNetworks        []netip.Prefix
	KeepLookups          bool         // scrub.lookups = "keep"
	LookupZones          []string     // names below these query a list about an address or a name
	RootServers          []netip.Addr // servers from which "no such TLD" is believed
	SpecialNames         bool
	TimeResolution       time.Duration // times are truncated to multiples of this; at least 1ns
}
