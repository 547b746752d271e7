// Package integration runs the real binary with real resolvers in a closed DNS world, and
// checks its output independently of our code: with the zone files, a second reader of NMSG,
// miekg/dns and Farsight's library.
//
// Its tests need root, Linux and the packages that package lab names. They fail if those are
// missing; no test is skipped.
package integration
