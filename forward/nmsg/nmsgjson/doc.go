// Package nmsgjson prints the messages of NMSG payloads as nmsgtool 1.3.3 does: one JSON object a
// line, for base:dnsqr, base:dnsobs, base:dnstap and SIE:dnsdedupe. A message of another type is
// printed with the numbers of its vendor and type, and its octets.
//
// The output equals that of nmsgtool octet by octet on the vectors in ../testdata, and follows
// the sources of nmsg and wdns elsewhere. It differs where nmsgtool's output is wrong or is not
// JSON:
//
//   - a record type without a mnemonic is TYPE and its number, not TYPE1 for every one of them;
//   - an extended rcode is assembled as RFC 6891 section 6.1.3 requires;
//   - a socket protocol other than UDP and TCP is printed;
//   - a number that is not finite is null;
//   - rdata of dnsdedupe that is malformed, or has no type or class, is octets (RFC 3597 section 5);
//   - the response of dnsdedupe is base64, like every other message.
//
// A response in several IP packets is not reassembled. Operators and groups are numbers, not the
// aliases that an nmsgtool may be configured with.
//
// The package does not know where messages come from and where lines go.
package nmsgjson
