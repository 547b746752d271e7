// Package dnstext writes DNS messages in presentation form (RFC 1035 section 5.1): names, types,
// classes, rcodes, rdata and EDNS options. What it writes is always printable ASCII without line
// ends.
//
// There are three forms. WDNS is the form of wdns, the library that nmsgtool prints with, so that
// forward/nmsg/nmsgjson prints the same octets. Zone is a form that a zone file parser reads
// back as the same record, for cmd/dnstap-pdns/internal/present. They differ only where the form
// of wdns does not read back, or where malformed rdata has no form. COF, for forward/cof, is that
// of wdns with names as most passive DNS servers write them: without the final dot.
//
// nmsgtool prints TYPE1 for every type without a mnemonic; all forms write TYPE and its number (RFC
// 3597 section 5).
//
// The package must not know the source of a message: NMSG, dnstap, files and flags are the
// subject of its callers.
package dnstext
