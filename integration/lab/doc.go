// Package lab is a closed DNS world for tests: real authoritative servers (NSD)
// for a root, its top-level domains and some leaf zones, and real resolvers, in
// a network namespace of their own. Nothing in it reaches a network outside, and
// nothing of it outlives the test process, however that ends.
//
// It knows nothing of the sensor: it starts programs, asks questions and says
// what the zones hold.
package lab
