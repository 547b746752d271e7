// Package ring captures packets on Linux through memory-mapped rings (AF_PACKET,
// TPACKET_V3), without cgo: several interfaces, several lanes, a kernel filter.
//
// It knows packets by their time and their network protocol, and nothing of DNS but
// its port, which the filter asks for.
package ring
