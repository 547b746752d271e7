// Package present shows the messages of NMSG payloads to programs, as the JSON
// that nmsgtool prints, and to people, as text.
//
// JSON is nmsgtool's for base:dnsqr, base:dnsobs and base:dnstap, byte for byte
// on the vectors in testdata, which are its own output; what does not occur there
// follows the sources of nmsg and wdns. It differs where that would be wrong or
// no JSON: a record type without a name is TYPE and its own number, an extended
// rcode is put together as RFC 6891 section 6.1.3 says, a socket protocol beyond
// UDP and TCP is shown, a number that is not finite is null. Responses in several
// IP fragments are not put together, and operators and groups are numbers, not
// the aliases that an nmsgtool may have been given.
//
// Text is printable ASCII and newlines, whatever the message holds; its records
// are in zone file form (RFC 1035 section 5.1).
//
// The package knows bytes only: where messages come from, and where lines go, is
// the command's business.
package present
