// Package ring captures packets on Linux through memory-mapped rings (AF_PACKET,
// TPACKET_V3; packet(7)), without cgo. It supports several interfaces, several lanes and
// a filter in the kernel.
//
// There is one ring per interface and lane. The kernel divides an interface's packets
// among its rings by their pair of addresses. The Reader of a lane merges that lane's
// rings of all interfaces in the order of time.
//
// It reads only the time and the network protocol of a packet. Of DNS it knows only the
// port, for the filter.
package ring
