// Package packet reads captured packets from the link layer down to DNS over UDP and TCP,
// and makes messages of those that pass between resolvers and authoritative servers. It
// borrows its input for the length of a call. It allocates only to reassemble fragments
// and streams, both within bounds.
//
// It must not know files, sockets, goroutines or the wall clock: its time is that of the
// packets.
package packet
