package transform

// A Lane takes the messages of one reader of a source: a dnstap connection, a ring, or a file.
// Its methods are called from one goroutine at a time.
type Lane interface {
	// Begin starts a burst: the messages of one read.
	Begin()
	// Take takes one message, which it borrows until it returns.
	Take(*Message) Reason
	// Drop counts a frame or packet that is not a valid message.
	Drop(Reason)
	// End ends the burst.
	End()
	// Close is called once, after the last burst.
	Close()
}
