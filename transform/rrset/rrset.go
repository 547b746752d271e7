package rrset

// An RRset is one RRset of a response, in the form in which databases store it: uncompressed
// wire form, names lowercase. Its slices are borrowed: they are valid until the call that
// received it returns.
type RRset struct {
	Name      []byte // owner
	Type      uint16
	Class     uint16
	TTL       uint32   // the lowest of its records
	Bailiwick []byte   // the zone in which it was verified: Name or a suffix of it
	Rdata     [][]byte // in the order of the response, repetitions removed
}
