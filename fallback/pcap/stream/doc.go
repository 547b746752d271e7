// Package stream reassembles DNS messages over TCP (RFC 1035 section 4.2.2, RFC 7766)
// from captured segments, which may be late, repeated or missing. Its memory is bounded
// for any input.
//
// In a synchronised stream the boundaries of messages are known: after a hole in a
// message, the rest of it is skipped by its length. A length of zero is skipped. In a stream that is not synchronised,
// a message is accepted only at the start of a segment and with a whole question. It is
// delivered only if its sections fill it exactly and the next octets may begin a message.
// Text in a message that has the form of a message is delivered as one only if segments begin
// and end with it. Its sender might then as well have sent it as a message.
//
// Acknowledgements are not used: if each direction is tapped separately, they may be
// captured before the segments that they acknowledge.
//
// It must not know IP headers or files. Its time is that of the segments.
package stream
