// Package rrset turns records into what a passive DNS database stores: the RRsets of responses
// that the answering server had the authority to state, each with the zone in which that is so,
// its bailiwick.
//
// A Splitter splits a response into RRsets. A Verifier passes those that are in bailiwick, and
// counts the others by Outcome. If the resolver stated the zone that it queried (dnstap), this
// decides. Else the Verifier derives the zone from Delegations, a cache of which servers serve
// which zone, that it learns from verified responses alone. Bailiwick is not DNSSEC: a server may
// state anything about its own zones. A Table counts how often each verified RRset is seen in a
// window.
//
// The package uses no socket, file, wall clock, goroutine or lock, and its memory is bounded. Its
// time is that of records. It must not know where records come from, how the cache is stored, or
// where RRsets go.
package rrset
