package pcap

import "github.com/dnstap-pdns/dnstap-pdns/transform"

// A Lane takes what one reader brings. Its methods are called from one goroutine
// at a time.
type Lane interface {
	// Begin comes before a burst.
	Begin()
	// Take takes one message, which is borrowed until Take returns.
	Take(*transform.Message) transform.Reason
	// Drop counts a packet that could not become a message.
	Drop(transform.Reason)
	// End comes after the burst.
	End()
	// Close comes once, when reading is over.
	Close()
}
