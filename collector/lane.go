package collector

import "github.com/dnstap-pdns/dnstap-pdns/transform"

// A Lane takes what one connection brings. Its methods are called from one
// goroutine at a time.
type Lane interface {
	// Begin comes before a burst: what one read returned.
	Begin()
	// Take takes one message, which is borrowed until Take returns.
	Take(*transform.Message) transform.Reason
	// Drop counts a frame that could not become a message.
	Drop(transform.Reason)
	// End comes after the burst.
	End()
	// Close comes once, when the connection is over.
	Close()
}

// A FrameWatcher is a Lane that wants to see each data frame as it came, too. Frame
// borrows it, and comes before Take or Drop of what it holds; frames that are too large
// are not shown.
type FrameWatcher interface {
	Lane
	Frame(frame []byte)
}
