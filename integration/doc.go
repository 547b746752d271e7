// Package integration drives the real binary against real resolvers in a closed
// DNS world, and checks what comes out by means that are not ours: the zones'
// own files, a second reader of NMSG, miekg/dns and Farsight's library.
//
// Its tests need root, Linux and the packages that package lab names. They fail
// where those are missing; none is skipped.
package integration
