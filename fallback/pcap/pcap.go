// Package pcap makes messages from packets: of a live capture on Linux, for resolvers
// without dnstap, and of capture files. A lane gets the same messages from both.
//
// Package packet reads link layers, IP and UDP, package stream TCP, package ring the
// memory-mapped ring, and package capfile the files. This package must not know conf
// or where messages go.
package pcap

import "github.com/dnstap-pdns/dnstap-pdns/transform"

// A Lane takes the messages of one reader. Its methods are called from one goroutine
// at a time.
type Lane interface {
	// Begin precedes a burst.
	Begin()
	// Take takes one message, which is borrowed until Take returns.
	Take(*transform.Message) transform.Reason
	// Drop counts a packet that could not become a message.
	Drop(transform.Reason)
	// End follows the burst.
	End()
	// Close is called once, after the last burst.
	Close()
}

// An Outlet provides the lanes of a source.
type Outlet interface {
	// Lane returns a new lane. A source requests one for each of its rings whenever
	// it begins to capture, at time on.
	Lane(on transform.Time) Lane
	// HandOver is called after those lanes were closed. They recorded the outward
	// messages of the span's resolvers within the span.
	HandOver(transform.Span)
}
