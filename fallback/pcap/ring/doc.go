// Package ring captures packets on Linux through memory-mapped rings (AF_PACKET,
// TPACKET_V3; packet(7)), without cgo: several interfaces, several lanes, a kernel
// filter.
//
// There is one ring per interface and lane. The kernel divides an interface's packets
// among its rings by their pair of addresses, and a lane's Reader merges the rings of
// that lane, of all interfaces, in the order of time.
//
// It knows packets by their time and their network protocol, and nothing of DNS but
// its port, which the filter asks for.
package ring
