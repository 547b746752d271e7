// Package packet reads what was captured, from the link layer down to DNS over UDP
// and TCP, and makes the messages of it that pass between resolvers and the servers
// they ask. It borrows its input for the length of a call and allocates only for
// what must be put together: fragments and streams, both within bounds.
//
// It knows no file, no socket, no goroutine and no wall clock: its time is that of
// the packets.
package packet
