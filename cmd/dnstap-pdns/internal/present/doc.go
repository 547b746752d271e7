// Package present shows the messages of NMSG payloads to people, as text, and to programs, as the
// JSON of package nmsgjson.
//
// Text always consists of printable ASCII and line ends. Its records are in zone file form (RFC
// 1035 section 5.1).
//
// The package does not know the origin of messages or the destination of lines.
package present
