// Package census counts names and texts of records that may identify a person, by kind,
// without knowing what to search for. It is for the person who decides whether records may
// leave at all, and complements canaries, which prove that known things do not leave.
//
// It judges spelling only: a name that looks like a UUID is counted as one. It cannot find
// identifiers that look like an ordinary word, such as the name of a person or of a laptop.
//
// A Gate counts something else: the RRsets that several sensors report, and what would leave if a
// number of them had to report each.
//
// Memory is bounded (see distinct). The same input gives the same report. Reports are
// printable ASCII, even if names are not. Examples are masked unless requested otherwise.
// The package uses no socket, file, flag or clock.
package census
