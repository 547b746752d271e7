// Package fstrm sends records as dnstap over Frame Streams, the format and protocol of all
// software that reads dnstap: as frames in files and on standard output, and, with a handshake
// in both directions, over Unix sockets, TCP and TLS.
//
// A record counts as delivered when the kernel took its whole frame. What a peer that ends had
// not read from its socket is lost: Frame Streams has no acknowledgement of frames.
//
// The package does not know which records a batch contains, or what the peer does with them.
package fstrm
