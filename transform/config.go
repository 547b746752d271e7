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
	KeepResolver bool         // scrub.resolver_address = "keep"
	Resolvers    []netip.Addr // the resolver's own addresses, beside those that messages tell
	// ResolverNetworks are networks whose every address is the resolver's, as packet
	// sources name them; full-length ones are simply addresses. A server inside is
	// local, and an answer that tells an address inside makes no record: of one's
	// whole network, nothing that points into it leaves. Only where octets are not
	// known for an address by their type (APL, WKS, unknown types) is it not found.
	ResolverNetworks []netip.Prefix
	LocalNames       []string // presentation form; U-labels are converted, what cannot be is an error
	LocalNetworks    []netip.Prefix
	SpecialNames     bool
	TimeResolution   time.Duration // times are truncated to multiples of this; at least 1ns
}
