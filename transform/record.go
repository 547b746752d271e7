package transform

import "net/netip"

// Record is what leaves: a scrubbed response and its query, or a query that
// nobody answered. It borrows everything; whoever wants to keep it copies it
// before the call that takes it returns.
type Record struct {
	Server netip.AddrPort
	// Resolver is the zero address of the server's family with port 0, unless the
	// policy keeps it.
	Resolver netip.AddrPort
	ID       uint16 // DNS ID; 0 unless the policy keeps the resolver's address
	Zeroed   bool   // Resolver and ID were zeroed

	Transport Transport
	Answered  bool // Response is there
	Asked     bool // the query itself was seen: Query is there

	Name  []byte // query name: wire form, uncompressed, lower case
	Type  uint16
	Class uint16
	Rcode uint8  // of the response; meaningless unless Answered
	Zone  []byte // wire form, lower case; empty where not told

	// Times are truncated to the policy's resolution; NoTime where not known.
	QueryTime    Time
	ResponseTime Time

	Query    []byte // scrubbed query message: header and question; nil unless Asked
	Response []byte // scrubbed response message; nil unless Answered
}

// Time is the instant that the record is filed under: its query's where known,
// else its response's.
func (r *Record) Time() Time {
	if r.QueryTime != NoTime {
		return r.QueryTime
	}
	return r.ResponseTime
}
