// Package pcap makes messages from packets: from a live capture on Linux, for resolvers
// without dnstap, and from capture files. A lane gets the same messages from both.
//
// Package packet reads link layers, IP and UDP, package stream TCP, package ring the
// memory-mapped rings, and package capfile the files. This package must not know conf
// or the destination of messages.
package pcap

import "github.com/dnstap-pdns/dnstap-pdns/transform"

// A Lanes provides the lanes of a source.
type Lanes interface {
	// Lane returns a new lane. A source requests one for each of its rings whenever
	// it begins to capture, at time on.
	Lane(on transform.Time) transform.Lane
	// HandOver is called after those lanes were closed. Within the span, they recorded the
	// outward messages of the span's resolvers.
	HandOver(transform.Span)
}
