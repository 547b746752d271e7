// Package stream puts DNS messages over TCP (RFC 1035 section 4.2.2, RFC 7766)
// together from captured segments, which may come late, twice, or never. Its memory
// is bounded, whatever comes.
//
// Where a stream is in step, nothing is guessed: of a hole in a message the rest is
// counted off, and the next one begins where it must. Where it is not, a message is
// believed only at a segment's beginning, with a whole question, and handed out once
// its sections fill it and nothing behind it contradicts. Text that is itself a
// message passes for one only if segments are cut to its measure, and then it is one
// that the same server might have sent.
//
// Acknowledgements are not used: where each direction is tapped by itself, they may
// come before what they acknowledge.
//
// It knows no IP header and no file, and its time is that of the segments.
package stream
