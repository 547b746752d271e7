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
	// ResolverNetworks are more of the resolver's own addresses: those whose packets
	// are captured.
	ResolverNetworks []netip.Prefix

	LocalNames     []string // presentation form; U-labels are converted, what cannot be is an error
	LocalNetworks  []netip.Prefix
	SpecialNames   bool
	TimeResolution time.Duration // times are truncated to multiples of this; at least 1ns
}
