// Package transform turns DNS messages between a resolver and the servers it
// asks into passive DNS records: it pairs responses with their queries, keeps
// what is outward only, scrubs what could tell about a person or the
// organisation, and accounts for every message under exactly one reason.
//
// One Pairer serves one lane, that is one stream of messages whose order means
// something. It runs in the caller's goroutine, on the messages' own times, and
// borrows its input for the length of a call. The package knows no socket, file,
// wall clock, goroutine or lock; nor does it know where messages come from or
// where records go.
package transform

import (
	"math"
	"net/netip"
)

// Time is an instant in nanoseconds since the Unix epoch, as a message states it.
type Time int64

// NoTime stands for an instant that the source did not tell. It is not the
// zero value: a message may well say that it is 1970.
const NoTime Time = math.MinInt64

// Role is a message's place between a resolver and the servers it asks, as its
// source knows it. A dnstap source reads it off Message.type (dnstap.proto), a
// packet source off the addresses.
type Role uint8

const (
	// NotOutward is whatever is neither asked nor answered outward; nothing else of
	// such a message is read.
	NotOutward Role = iota
	ResolverQuery
	ResolverResponse
	ForwarderQuery
	ForwarderResponse
)

// response reports whether the role is that of an answer.
func (r Role) response() bool { return r == ResolverResponse || r == ForwarderResponse }

// forwarder reports whether the source itself says that the peer is a resolver.
func (r Role) forwarder() bool { return r == ForwarderQuery || r == ForwarderResponse }

// Transport is how a message travelled. What is neither plain UDP nor plain TCP
// (DoT, DoH, DoQ, DNSCrypt over TCP) is Encrypted.
type Transport uint8

const (
	UDP Transport = iota
	TCP
	Encrypted
)

// Message is one DNS message between a resolver and a server. A source fills it
// and lends it to a lane: Zone and Wire point into the source's buffer and are
// good only until the call that takes the message returns.
type Message struct {
	Role      Role
	Packet    bool // seen as a packet: Resolver and its port can be relied on
	Transport Transport

	Server   netip.AddrPort // the authoritative server
	Resolver netip.AddrPort // the zero AddrPort where the source does not tell

	QueryTime    Time // NoTime where the source does not tell
	ResponseTime Time // NoTime where the source does not tell; always so in queries

	Zone []byte // the zone that the resolver took the server to serve: wire form, uncompressed; empty where not told
	Wire []byte // the DNS message
}

// time is the instant at which the message itself was on the wire.
func (m *Message) time() Time {
	if m.Role.response() {
		return m.ResponseTime
	}
	return m.QueryTime
}

// inward reports whether a message is not outward by its envelope alone. PowerDNS
// sends events as RESOLVER_RESPONSE, with a client's address and no response time.
func (m *Message) inward() bool {
	return m.Role == NotOutward || m.Role == ResolverResponse && m.ResponseTime == NoTime
}
