package transform

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
	Kept:            {"kept", "became a record, was paired with its response, or is held"},
	Oversize:        {"oversize", "larger than max_frame"},
	Malformed:       {"malformed", "not dnstap, not DNS, or DNS that breaks its own rules"},
	NotOutward:      {"not_outward", "not between the resolver and a server: client, stub, tool, update and authority traffic"},
	Forwarded:       {"forwarded", "asked of another resolver, or with recursion desired"},
	LocalServer:     {"local_server", "the server is on a private, local or own address"},
	NotLookup:       {"not_lookup", "not a plain lookup: class, opcode, question count, zone transfer, TKEY, TSIG or SIG(0)"},
	Truncated:       {"truncated", "TC=1: the retry over TCP brings the whole answer"},
	Rcode:           {"rcode", "a response code that outward.rcodes does not name"},
	Mismatched:      {"mismatched", "answers something else than was asked of that server with that ID"},
	Unsolicited:     {"unsolicited", "a response packet to no query, or another answer than the first"},
	Duplicate:       {"duplicate", "seen before: a copy of a packet, or what packets have shown already"},
	LocalName:       {"local_name", "holds a local name, or an address of a local network in a name"},
	ResolverAddress: {"resolver_address", "holds an address of the resolver, or the client subnet"},
	Lookup:          {"lookup", "the query name queries a list about an address or a name"},
	SpecialName:     {"special_name", "a special-use name, or a name under no existing top-level domain"},
	Unscrubbable:    {"unscrubbable", "could not be rewritten safely"},
	Unanswered:      {"unanswered", "a query without a response in time"},
	PairingFull:     {"pairing_full", "pushed out of the full pairing table"},
	Unfinished:      {"unfinished", "a query still held when the connection, the input or the sensor ended"},
}
