// Package collector brings dnstap in: it listens where resolvers connect, speaks
// Frame Streams with them, over TLS where it is told to, and turns each dnstap
// frame into a transform.Message that it lends to a Lane. Each connection has a
// lane of its own, and each data frame ends in exactly one call of Lane.Take or
// Lane.Drop.
//
// A resolver is never slowed down or held up: handshakes are answered at once,
// connections are always read, STOP is answered at once. What a connection does
// wrong ends that connection alone. When all places are taken, one may have to go
// for a newcomer whose peer has fewer.
//
// [Source.Run] accepts in its caller's goroutine, serves each connection in one of
// its own, and returns when all of those have ended.
//
// Beside that the package tells what stands in a resolver's way: [Exclusions] at the
// socket, [Remedies] at the other end. It knows the dnstap schema and nothing of DNS
// messages, of what becomes of them, or of configuration files.
package collector
