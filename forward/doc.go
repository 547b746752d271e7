// Package forward delivers records to receivers: it runs the lanes in which messages
// become records, collects records in batches, and sends batches to sinks.
//
// A [Lane] encodes each record once per [Format] in use and copies it into its open
// batch for each sink. A [Batch] is up to 64 KiB of finished containers; it is sealed
// when it is full or when its flush time has passed. Then it enters the sink's queue, from
// which the sink's goroutine sends it with a [Transport]. Only batches pass between
// goroutines, and a batch has one owner at a time. A container never continues in another
// batch, even if the MTU is larger than a batch. [Forwarder] owns all of these, replaces
// policy and sinks while they run, and accounts for every message and record in a [Ledger].
//
// A sink is a queue with a format, a transport, and the account of its name. A reload
// replaces only the transport: the new one continues with the queued batches. A sink that
// a reload removes sends its queued batches and keeps its account.
//
// An aggregate sink has a transport that emits RRsets. They enter the queues of the sinks whose
// From is its name through a stage, which judges them by the policy in force, has open batches as a lane
// has, and waits for room: only the queue of the aggregate sink drops records. At the stop these queues close when the aggregate
// sink has ended.
//
// Formats are in this package, with the octets of NMSG in package nmsg. Transports are
// packages that import this one; their configurations make them ([TransportConfig]).
//
// An [Inlet] is the input of records and RRsets that other sensors made. It waits for room, and its
// owner can wait until they are delivered or stored: the senders confirm that, also while a reload
// replaces them.
//
// Goroutines: a lane or an inlet runs in its owner's goroutine. [Forwarder.Run] does periodic work in
// its caller's, starts one goroutine for each transport, and waits for these; one whose
// transport a reload replaced or removed ends by itself.
//
// Locks are taken in this order, and none is held while anything blocks: that of the
// Forwarder, those of lanes in the order in which the lanes were made, those of inlets in the same
// way, those of stages in the order of sinks, that of a queue.
//
// The package does not know where messages come from, what a policy says, how
// configuration is written, what transports do, or how a ledger is shown.
package forward
