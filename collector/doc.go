// Package collector brings dnstap in: it listens where resolvers connect, speaks
// Frame Streams with them, over TLS where it is told to, and turns each dnstap
// frame into a transform.Message that it lends to a Lane. Each connection has a
// lane of its own, and each data frame ends in exactly one call of Lane.Take or
// Lane.Drop.
//
// A resolver is never slowed down or held up: handshakes are answered at once,
// connections are always read, STOP is answered at once. What a connection does
// wrong ends that connection alone.
//
// Beside that it tells what stands in a resolver's way: Exclusions at the socket,
// Remedies at the other end. The package knows the dnstap schema and nothing of DNS messages, of what
// becomes of them, or of configuration files.
package collector
