// Package nmsg writes and reads NMSG, version 2, as the reference C library
// does: message types, payloads, containers, zlib, fragments, sequence numbers.
//
// The writer's side appends to buffers of its caller and allocates nothing: a
// [transform.Record] becomes a [Payload], payloads go into a [Container], and a
// sealed container may be deflated or cut into fragments. The reader's side,
// [Reader] for files and pipes and [Assembler] for datagrams, takes whatever the
// reference tools write, reports damage, and goes on behind it.
//
// Package integration/nmsgcheck reads NMSG with code of its own, because it checks what this
// package writes.
//
// The package knows bytes only: no socket, file, flag, log, clock or goroutine.
package nmsg
