// Package forward brings records to their receivers: it runs the lanes in which
// messages become records, puts these into batches, and delivers batches to sinks.
//
// A [Lane] encodes each record once per [Format] in use and copies it into its open
// batch of each sink. A [Batch] is up to 64 KiB of finished containers; it is sealed
// when it is full or old enough, and enters the sink's queue, from which the sink's
// goroutine sends it with a [Transport]. Only batches pass between goroutines, and a
// batch has one owner at a time. A container is never spread over two batches: a file's
// containers end with their batch, however large its MTU. [Forwarder] owns all of these,
// swaps policy and sinks while they run, and accounts for every message and record in a
// [Ledger].
//
// A sink is a queue with a format and a transport, and the account of its name. It
// outlives reloads: these swap the transport, and what is queued goes on with the new
// one. A sink that a reload removes sends what it holds and keeps its account.
//
// Formats are in this package, with the octets of NMSG in package nmsg. Transports are
// packages that import this one; their configurations make them ([TransportConfig]).
//
// Goroutines: lanes run in their owners'. [Forwarder.Run] keeps house in its caller's,
// starts one for each sink's transport, and waits for them; one that a reload replaced
// or removed ends by itself.
//
// Locks are taken in this order, and none is held while anything blocks: the
// Forwarder's, lanes' in the order in which they were made, a queue's.
//
// The package does not know where messages come from, what a policy says, how
// configuration is written, what transports do, or how a ledger is shown.
package forward
