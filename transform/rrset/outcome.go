package rrset

// An Outcome is what became of an RRset. A response that could not be split has one, too.
type Outcome uint8

const (
	Exact     Outcome = iota // in bailiwick: verified by the zone that the resolver stated
	Delegated                // in bailiwick: verified by Delegations

	// Not passed on.
	OutOfZone
	NotRoot
	Forwarded
	Rcode
	Unverified
	HeldFull
	Malformed
	numOutcomes
)

// Outcomes lists every outcome in order, for ledgers and documentation.
func Outcomes() []Outcome {
	all := make([]Outcome, numOutcomes)
	for i := range all {
		all[i] = Outcome(i)
	}
	return all
}

// String returns the outcome's name as ledgers, metrics and documentation show it.
func (o Outcome) String() string {
	if o >= numOutcomes {
		return "unknown"
	}
	return outcomes[o].name
}

// Meaning returns one phrase for people.
func (o Outcome) Meaning() string {
	if o >= numOutcomes {
		return ""
	}
	return outcomes[o].meaning
}

// Verified reports whether RRsets with this outcome are in bailiwick.
func (o Outcome) Verified() bool { return o == Exact || o == Delegated }

var outcomes = [numOutcomes]struct{ name, meaning string }{
	Exact:      {"exact", "in bailiwick: the owner is at or below the zone that the resolver stated"},
	Delegated:  {"delegated", "in bailiwick: the owner is at or below a zone that was delegated to the server"},
	OutOfZone:  {"out_of_zone", "the owner, the query name or the class is outside the zone that was queried, or the RRset belongs to the parent zone (DS)"},
	NotRoot:    {"not_root", "the resolver stated the root zone, but the server is not a root server"},
	Forwarded:  {"forwarded", "the server was asked as a resolver: by a forwarder, or with recursion desired"},
	Rcode:      {"rcode", "NXDOMAIN proves aliases, SOA, NSEC and NSEC3 only, and other response codes than NOERROR prove nothing"},
	Unverified: {"unverified", "no known delegation to the server contains the query name, also after bailiwick_wait"},
	HeldFull:   {"held_full", "as unverified, but dropped before bailiwick_wait: too many responses were held, in total or of the server"},
	Malformed:  {"malformed", "a response that cannot be split into RRsets; it counts as one"},
}

// Counts are the numbers of RRsets by outcome, and of those that are held: their outcome is open.
type Counts struct {
	By   [numOutcomes]uint64
	Held uint64
}

// Verified returns the number of RRsets in bailiwick.
func (c *Counts) Verified() (n uint64) {
	for o, by := range c.By {
		if Outcome(o).Verified() {
			n += by
		}
	}
	return n
}
