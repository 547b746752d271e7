// Package canary looks for what must not be there: addresses, names and other texts,
// in octets that are about to leave, in each form in which they may hide.
//
// It is a second opinion on scrubbing, and so shares no code with it: it knows nothing
// of records, policies or this module, and reads DNS messages with miekg/dns. It errs on
// the side of finding. What it looks for:
//
//   - of an address: its octets, forwards and backwards, and with them whatever IPv6
//     address has an IPv4 address inside (mapped, NAT64, 6to4); its text, dotted or in any
//     spelling that RFC 4291 allows, with dashes or underscores for dots and colons and
//     with zeros in front as host names have it, and as hexadecimal digits; its numbers or
//     nibbles as labels or text in either order, which are reverse names and what
//     blocklists are asked for;
//   - of a name: its labels in wire form, which begin at a label's boundary, and its text,
//     which may begin anywhere; both in A-labels and in U-labels, backwards too, and the
//     text as hexadecimal digits; of a mail address also the name that SOA records have
//     for it. What follows it does not matter: www.NAME.search.example holds NAME;
//   - of any other text: the same without labels.
//
// Case means nothing, as far as it is ASCII's; of other letters, all in lower case and all
// in upper case are looked for. Messages are searched as they stand, with every name in
// full, and, where records hold texts, as a zone file has them, and with their
// character-strings joined.
package canary
