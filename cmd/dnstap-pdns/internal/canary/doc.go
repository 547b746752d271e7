// Package canary searches what is about to leave for what must not be in it: names,
// addresses and other texts.
//
// It is a second opinion on scrubbing and shares no code with it. It does not import
// packages of this module, and reads DNS messages with miekg/dns and by itself: it does not
// use transform/dnswire, because it checks the work of that package too. There are two
// searches.
//
// A [Forbidden] finds what a policy forbids, in exactly the forms and places that DESIGN.md
// lists under "What is local": local names, local networks, the resolver's addresses and
// client subnets, in names, texts, opaque octets and addresses. It parses each message and
// searches each name, text and address by itself, so what it finds is a fault of the
// scrubber.
//
// A [Set] finds canaries in octets that need not be a message. It prefers to find too much:
//
//   - of an address: its octets, forwards and backwards, so also inside every IPv6 address
//     that embeds an IPv4 address; its text, dotted or in every spelling that RFC 4291
//     allows, with hyphens or underscores instead of dots and colons, with zeros in front,
//     and as hexadecimal digits; its numbers or nibbles as labels or text in either order;
//   - of a name: its labels in wire form from the boundary of a label on, and its text
//     anywhere; both in A-labels and U-labels, and backwards; the text as hexadecimal
//     digits; of a mail address also the name that SOA records have for it. What follows
//     does not matter: www.NAME.search.example holds NAME;
//   - of another text: the same without labels.
//
// A Set ignores the case of ASCII letters. Of other letters it finds all in lowercase and
// all in uppercase. It searches messages as they are, with every name in full, and, where
// records hold texts, in zone file form and with character-strings joined.
package canary
