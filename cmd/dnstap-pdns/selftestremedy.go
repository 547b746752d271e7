package main

import "github.com/dnstap-pdns/dnstap-pdns/transform"

const (
	remedyCaptures = "See that packets of both directions are captured, all of them, and once."
	remedyDefect   = "That is a defect, of the resolver's or of dnstap-pdns: please report it."
)

// selftestRemedies say what to do where a name that must leave was dropped.
var selftestRemedies = map[transform.Reason]string{
	transform.Oversize:        "Raise max_frame of the source.",
	transform.Malformed:       remedyDefect,
	transform.Inward:          "Have the resolver tell what servers say to it.",
	transform.Forwarded:       "This resolver asks another one, and that one is where the sensor belongs; outward.forwarded = true takes what this one says.",
	transform.LocalServer:     "The answer came from a private or local address: choose a --zone that servers on the Internet answer for; outward.local_servers = true takes all that such servers say.",
	transform.NotLookup:       remedyDefect,
	transform.Truncated:       "The retry over TCP was not seen: see that the resolver reaches servers over TCP, and that it is captured.",
	transform.Rcode:           "Name the response code in outward.rcodes, or choose a --zone whose answers have another.",
	transform.Mismatched:      "Somebody answers in the place of the servers, or the resolver tells of queries that are not its own.",
	transform.Unsolicited:     remedyCaptures,
	transform.Duplicate:       remedyCaptures,
	transform.LocalName:       "The name, its zone or the answer holds what scrub.local_names and scrub.local_networks keep in the house: choose a --zone outside.",
	transform.ResolverAddress: "The answer holds the resolver's address: choose a --zone that the resolver does not serve.",
	transform.Lookup:          "The name queries a list: choose a --zone that scrub.lookup_zones does not contain.",
	transform.SpecialName:     "Choose a --zone under a top-level domain that exists.",
	transform.Unscrubbable:    remedyDefect,
	transform.Unanswered:      "No server answered in pairing.timeout: see that the resolver reaches the servers of the zone, or choose another --zone.",
	transform.PairingFull:     "Raise pairing.max_queries.",
	transform.Unfinished:      "The connection, or the sensor, ended meanwhile: try again.",
}
