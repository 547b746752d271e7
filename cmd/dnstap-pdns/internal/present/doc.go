// Package present shows the messages of NMSG payloads to people, as text, and to programs, as the
// JSON of package nmsgjson.
//
// Text is printable ASCII and line ends, whatever a message contains. Its records are in zone file
// form (RFC 1035 section 5.1).
//
// The package does not know where messages come from and where lines go.
package present
