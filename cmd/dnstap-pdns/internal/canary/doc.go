// Package canary searches output records for names, addresses and other texts that must not
// leave.
//
// It checks scrubbing independently and shares no code with it. It does not import packages of
// this module, and reads DNS messages with miekg/dns and with its own code: it does not use
// transform/dnswire, because it checks the work of that package too. It has two searches.
//
// A [ForbiddenSearch] finds what a policy forbids, in exactly the forms and places that docs/privacy.md
// lists under "What is local": local names, local networks, the resolver's addresses and
// client subnets, in names, texts, opaque octets and addresses. It parses each message and
// searches each name, text and address separately, so each of its hits is a fault of the
// scrubber.
//
// A [Set] finds canaries in octets that need not be a message. It prefers false hits to misses:
//
//   - of an address: its octets, forwards and backwards, so also inside every IPv6 address
//     that embeds an IPv4 address; its text, dotted or in every spelling that RFC 4291
//     allows, with hyphens or underscores instead of dots and colons, with zeros in front,
//     and as hexadecimal digits; its numbers or nibbles as labels or text in either order;
//   - of a name: its labels in wire form from the boundary of a label on, and its text
//     anywhere; both in A-labels and U-labels, and backwards; the text as hexadecimal
//     digits; of a mail address also its form as a name in SOA records. Other labels may
//     follow: www.NAME.search.example contains NAME;
//   - of another text: the same without labels.
//
// A Set ignores the case of ASCII letters. Other letters match all in lowercase or all in
// uppercase. It searches messages as they are and without name compression, and records with
// texts in zone file form and with character-strings joined.
package canary
