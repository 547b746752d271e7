package pcap

import "github.com/dnstap-pdns/dnstap-pdns/transform"

// An Outlet takes what a source captures.
type Outlet interface {
	// Lane returns a new lane. A source asks for all of its own each time that it
	// begins to capture, which is at time on.
	Lane(on transform.Time) transform.Lane
	// HandOver comes when those are closed: they have recorded what was outward
	// meanwhile, of these resolvers.
	HandOver(transform.Span)
}
