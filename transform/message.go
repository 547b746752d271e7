// Package transform turns DNS messages between a resolver and authoritative servers into
// passive DNS records: it pairs responses with their queries, keeps outward messages only,
// scrubs everything that concerns a person or the organisation, and accounts for every
// message under exactly one reason.
//
// One Pairer serves one lane: a stream of messages in order. It runs in the caller's
// goroutine, on the messages' own times, and borrows its input until the call returns. The
// package uses no socket, file, wall clock, goroutine or lock; it must not know where
// messages come from or where records go.
package transform

import (
	"math"
	"net/netip"
)

// Time is an instant in nanoseconds since the Unix epoch, as a message states it.
type Time int64

// NoTime means that the source did not state the time. It is not the zero value, because a
// message may state a time in 1970.
const NoTime Time = math.MinInt64

// truncated returns t truncated to a resolution, which is above 0.
func (t Time) truncated(resolution Time) Time {
	if t == NoTime {
		return t
	}
	rest := t % resolution
	if rest < 0 {
		rest += resolution
	}
	return t - rest
}

// Role is the role of a message between a resolver and the servers that it queries. A dnstap
// source derives it from Message.type (dnstap.proto), a packet source from the addresses.
type Role uint8

const (
	// OtherRole is the role of every message that is not between the resolver and a
	// server. Nothing else of such a message is read.
	OtherRole Role = iota
	ResolverQuery
	ResolverResponse
	ForwarderQuery
	ForwarderResponse
)

// response reports whether the message is a response.
func (r Role) response() bool { return r == ResolverResponse || r == ForwarderResponse }

// forwarder reports whether the source states that the server is a resolver.
func (r Role) forwarder() bool { return r == ForwarderQuery || r == ForwarderResponse }

// Transport is the transport of a message: UDP, TCP, or Encrypted for all others (DoT, DoH,
// DoQ, DNSCrypt over TCP).
type Transport uint8

const (
	UDP Transport = iota
	TCP
	Encrypted
)

// Message is one DNS message between a resolver and a server. A source fills it and lends it
// to a lane: Zone, Wire and Frame point into the source's buffer and are valid only until the
// call that takes the message returns.
type Message struct {
	Role      Role
	Packet    bool // seen as a packet: Resolver and its port are reliable
	Transport Transport

	Server   netip.AddrPort // the authoritative server
	Resolver netip.AddrPort // the zero AddrPort if the source does not state it

	QueryTime    Time // NoTime if the source does not state it
	ResponseTime Time // NoTime if the source does not state it, and in queries

	Zone []byte // the zone for which the resolver queried the server: wire form, uncompressed; empty if not stated
	Wire []byte // the DNS message

	// Frame is the dnstap frame that contains the message; nil for packets. Only a Trace
	// reads it: no record is made from it.
	Frame []byte
}

// time is the time at which the message itself was sent.
func (m *Message) time() Time {
	if m.Role.response() {
		return m.ResponseTime
	}
	return m.QueryTime
}

// notOutward reports whether a message is not outward according to its role and times.
// PowerDNS sends events as RESOLVER_RESPONSE, with a client's address and without a response
// time.
func (m *Message) notOutward() bool {
	return m.Role == OtherRole || m.Role == ResolverResponse && m.ResponseTime == NoTime
}

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
