// Package pcap makes messages from packets: of a live capture on Linux, where a
// resolver has no dnstap for what it asks outward, and of capture files. Whoever
// takes the messages cannot tell which it was.
//
// Link layers, IP and UDP are the work of package packet, TCP that of package
// stream, and the memory-mapped ring that of package ring. The package knows
// neither conf nor where messages go.
package pcap
