// Package forward brings records to where they are wanted: it runs the lanes in
// which messages become records, packs these into NMSG containers, and delivers
// them to sinks: UDP, files, standard output.
//
// A [Lane] encodes each record and copies it into its open batch of each sink. A
// batch is up to 64 KiB of finished containers; it is sealed when it is full or
// old enough, and enters the sink's queue, from which the sink's goroutine sends it.
// Nothing but batches crosses goroutines, and a batch has one owner at a time. A
// container never crosses batches: a file's containers end with their batch,
// however large its MTU. [Forwarder] owns all of these, swaps policy and sinks
// while they run, and accounts for every message and record in a [Ledger].
//
// A file gets its final name when it is complete; on_rotate then runs beside the
// sink. What a crash left unfinished is completed when a sink of that pattern starts.
//
// Goroutines: lanes run in their owners'. [Forwarder.Run] keeps house in its
// caller's, starts one for each sink, and waits for them; a sink that a reload
// removes ends by itself. A file sink's own, for recovery and for on_rotate, are
// waited for when its transport is closed.
//
// Locks are taken in this order, and none is held while anything blocks: the
// Forwarder's, lanes' in the order in which they were made, a queue's.
//
// The package does not know where messages come from, what a policy says, how
// configuration is written, or how a ledger is shown.
package forward
