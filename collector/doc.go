// Package collector receives dnstap. It listens where resolvers connect, speaks Frame
// Streams with them, over TLS if configured, and decodes each dnstap frame to a
// transform.Message, which it lends to a transform.Lane. Each connection has its own lane,
// and each data frame causes exactly one call of the lane's Take or Drop. [Replay] does the
// same for a file.
//
// A resolver is never slowed down: handshakes and STOP are answered at once, and connections
// are always read. An error on a connection ends only that connection. If
// Config.MaxConnections are open, a new one may displace one of a peer that has more.
//
// [Source.Run] accepts in its caller's goroutine, serves each connection in a goroutine of
// its own, watches the file of a Unix socket in another, and returns when all of these have
// ended.
//
// The package also reports what prevents outward messages: [PredictExclusions] and [SocketProblem] at
// the socket, [HandshakeFailure] and [RemedyFor] at the resolver. It knows the dnstap schema.
// It must not know DNS messages, what happens to messages after the lane, or configuration
// files.
package collector
