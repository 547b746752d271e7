// Package stream puts DNS messages over TCP (RFC 1035 section 4.2.2, RFC 7766)
// together from captured segments, which may come late, twice, or never. Its memory
// is bounded, whatever comes.
//
// It knows no IP header and no file, and its time is that of the segments.
package stream
