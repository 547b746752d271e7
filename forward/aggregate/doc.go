// Package aggregate turns records into RRsets that are verified and counted: it is the format and the
// transport of an aggregate sink.
//
// The transport splits the response of each record, keeps the RRsets that the server had the
// authority to state, and counts them in a table, both with package rrset. What the table emits goes to the
// sinks that name the aggregate sink, unless the policy in force forbids it, and waits for room in their queues; meanwhile only the queue of
// the aggregate sink drops records. A record is delivered when its RRsets are verified, dropped or
// held, and counted.
//
// The window runs by monotonic time in Live, and by the times of records in Replay. With a state file, in
// Live, the table survives restarts: it is saved at intervals and at the end, in parts between which
// records are handled, by a goroutine that the transport waits for. Delegations are saved in a file
// next to it. Without a state file, the table is emitted at the end.
//
// The package does not know which records are made, how RRsets are encoded, or where they go.
package aggregate
