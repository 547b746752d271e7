package transform

import (
	"math/bits"
)

// Reason is the reason why a message became no record. A message has exactly one: the first
// that applies, in the order of the constants.
type Reason uint8

const (
	Kept Reason = iota // no reason: the message became a record, was paired, or is held
	Oversize
	Malformed
	NotOutward
	Forwarded
	LocalServer
	NotLookup
	Truncated
	Rcode
	Mismatched
	Unsolicited
	Duplicate
	LocalName
	ResolverAddress
	Lookup
	SpecialName
	Unscrubbable
	Unanswered
	PairingFull
	Unfinished
	numReasons
)

// Reasons lists every reason in order, for ledgers and documentation.
func Reasons() []Reason {
	all := make([]Reason, 0, numReasons-1)
	for r := Kept + 1; r < numReasons; r++ {
		all = append(all, r)
	}
	return all
}

// String returns the reason's name as ledgers, metrics and documentation show it.
func (r Reason) String() string {
	if r >= numReasons {
		return "unknown"
	}
	return reasons[r].name
}

// Meaning returns one sentence for people.
func (r Reason) Meaning() string {
	if r >= numReasons {
		return ""
	}
	return reasons[r].meaning
}

var reasons = [numReasons]struct{ name, meaning string }{
	Kept:            {"kept", "became a record, was paired with its response, or is pending"},
	Oversize:        {"oversize", "larger than max_frame"},
	Malformed:       {"malformed", "not dnstap, not DNS, or DNS that breaks its own rules"},
	NotOutward:      {"not_outward", "not between the resolver and a server: client, stub, tool, update and authority traffic"},
	Forwarded:       {"forwarded", "sent to another resolver, or with recursion desired"},
	LocalServer:     {"local_server", "the server is on a private, local or own address"},
	NotLookup:       {"not_lookup", "not a plain lookup: class, opcode, question count, zone transfer, TKEY, TSIG or SIG(0)"},
	Truncated:       {"truncated", "TC=1: the retry over TCP brings the whole response"},
	Rcode:           {"rcode", "a response code that outward.rcodes does not list"},
	Mismatched:      {"mismatched", "a response to another question than the pending query to that server with that ID"},
	Unsolicited:     {"unsolicited", "a response packet whose query was captured neither before it nor within 2 s after it, or a second response to a query"},
	Duplicate:       {"duplicate", "repeated: a copy of a packet, or a dnstap message of a transaction recorded from packets"},
	LocalName:       {"local_name", "contains a local name, or an address of a local network in a name"},
	ResolverAddress: {"resolver_address", "contains an address of the resolver, or the client subnet"},
	Lookup:          {"lookup", "the query name queries a list of addresses or names (DNSBL)"},
	SpecialName:     {"special_name", "a special-use name, or a name under no existing top-level domain"},
	Unscrubbable:    {"unscrubbable", "could not be rewritten safely"},
	Unanswered:      {"unanswered", "a query without a response within pairing.timeout"},
	PairingFull:     {"pairing_full", "a query evicted because the pairing table was full, or because 64 queries to its server with its ID were pending"},
	Unfinished:      {"unfinished", "a query still pending when the connection, the input or the sensor ended"},
}

// Rule is a rule of scrubbing: it changes records, or forbids a record.
type Rule uint8

const (
	NoRule Rule = iota

	// Rules that change a record.
	ResolverZeroed
	IDZeroed
	OPTRemoved
	QueryReduced
	CaseLowered
	HeaderBitsCleared
	TrailingCut
	TimeTruncated
	ZoneOmitted
	RRsetRemoved
	Rebuilt

	// Rules that forbid a record.
	LocalNameInName
	LocalNameInside
	LocalNameInRdata
	LocalNetwork
	ResolverInAddress
	ResolverInName
	ResolverInRdata
	ClientSubnet
	ListLookup
	SpecialUse
	NoTLD
	numRules
)

// Rules lists every rule in order, for ledgers and documentation.
func Rules() []Rule {
	all := make([]Rule, 0, numRules-1)
	for r := NoRule + 1; r < numRules; r++ {
		all = append(all, r)
	}
	return all
}

// String returns the rule's name as ledgers, metrics and documentation show it.
func (r Rule) String() string {
	if r >= numRules {
		return "unknown"
	}
	return ruleTable[r].name
}

// Meaning returns one phrase for people: what the rule changes or forbids.
func (r Rule) Meaning() string {
	if r >= numRules {
		return ""
	}
	return ruleTable[r].meaning
}

// ForbidsAs returns the reason for which the rule forbids a record, or Kept if the rule changes
// records.
func (r Rule) ForbidsAs() Reason {
	if r >= numRules {
		return Kept
	}
	return ruleTable[r].forbids
}

var ruleTable = [numRules]struct {
	name, meaning string
	forbids       Reason
}{
	NoRule:            {name: "none"},
	ResolverZeroed:    {name: "resolver_zeroed", meaning: "the resolver's address and port are zero"},
	IDZeroed:          {name: "id_zeroed", meaning: "the DNS ID is zero"},
	OPTRemoved:        {name: "opt_removed", meaning: "the response's OPT record is removed: client subnet, cookies, NSID, padding"},
	QueryReduced:      {name: "query_reduced", meaning: "the query is reduced to header and question: no OPT, client subnet or cookie"},
	CaseLowered:       {name: "case_lowered", meaning: "names are in lower case: the case chosen by the resolver or a client is removed"},
	HeaderBitsCleared: {name: "header_bits_cleared", meaning: "the header bits RD, AD, CD and Z are cleared"},
	TrailingCut:       {name: "trailing_cut", meaning: "octets after the last record are cut off"},
	TimeTruncated:     {name: "time_truncated", meaning: "times are truncated to scrub.time_resolution"},
	ZoneOmitted:       {name: "zone_omitted", meaning: "the zone that the source stated is not a name, and is omitted"},
	RRsetRemoved:      {name: "rrset_removed", meaning: "an RRset with forbidden data is removed: in authority, additional, or outside the answer chain"},
	Rebuilt:           {name: "rebuilt", meaning: "the response was rebuilt, because octets in its middle were removed"},

	LocalNameInName:   {"local_name_in_name", "a name under scrub.local_names: as query name, owner, zone, or in an answer", LocalName},
	LocalNameInside:   {"local_name_inside", "a name under scrub.local_names inside a foreign name", LocalName},
	LocalNameInRdata:  {"local_name_in_rdata", "a name under scrub.local_names in text or other data of an answer", LocalName},
	LocalNetwork:      {"local_network", "an address of scrub.local_networks in a name", LocalName},
	ResolverInAddress: {"resolver_in_address", "an address record that holds the resolver's address", ResolverAddress},
	ResolverInName:    {"resolver_in_name", "the resolver's address in a name", ResolverAddress},
	ResolverInRdata:   {"resolver_in_rdata", "the resolver's address in text or other data of an answer", ResolverAddress},
	ClientSubnet:      {"client_subnet", "the client subnet of the query or response, in a name, an address record or other data", ResolverAddress},
	ListLookup:        {"list_lookup", "a query name that queries a list about an address or a name", Lookup},
	SpecialUse:        {"special_use", "a special-use query name, or a reverse name of a private network", SpecialName},
	NoTLD:             {"no_tld", "a query name under no existing top-level domain", SpecialName},
}

// ruleSet is the rules that changed one record.
type ruleSet uint32

func (s *ruleSet) add(r Rule, applies bool) {
	if applies {
		*s |= 1 << r
	}
}

func (s ruleSet) has(r Rule) bool { return s>>r&1 != 0 }

// scrubbed counts the rules that changed a record.
func (c *Counts) scrubbed(by ruleSet) {
	for ; by != 0; by &= by - 1 {
		c.Scrubbed[bits.TrailingZeros32(uint32(by))]++
	}
}
