// Package stream reassembles DNS messages over TCP (RFC 1035 section 4.2.2, RFC 7766)
// from captured segments, which may be late, repeated or missing. Its memory is bounded
// for any input.
//
// In a synchronised stream the boundaries of messages are known: after a hole in a
// message, the rest of it is skipped by its length. In a stream that is not synchronised,
// a message is accepted only at the start of a segment and with a whole question. It is
// delivered only if its sections fill it exactly and the next octets may begin a message.
// Text that is itself a message can pass for one only if segments are cut at its ends, and
// then the same server might have sent it.
//
// Acknowledgements are not used: if each direction is tapped separately, they may be
// captured before the segments that they acknowledge.
//
// It must not know IP headers or files. Its time is that of the segments.
package stream
