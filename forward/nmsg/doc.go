// Package nmsg writes and reads NMSG, version 2, as the reference C library
// does: message types, payloads, containers, zlib, fragments, sequence numbers.
//
// To write, it appends to buffers of the caller and allocates nothing: a [transform.Record]
// becomes a [Payload], payloads are added to a [Container], and a sealed container may be
// deflated or cut into fragments. To read, [Reader] is for files and pipes and [Assembler]
// for datagrams. Both accept everything that the reference tools write, report damage, and
// continue after it.
//
// Package integration/nmsgcheck reads NMSG with code of its own, because it checks the
// output of this package.
//
// The package knows bytes only: no socket, file, flag, log, clock or goroutine.
package nmsg
