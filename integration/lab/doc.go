// Package lab provides a closed DNS world for tests: real authoritative servers (NSD) for a
// root, its top-level domains and some leaf zones, and real resolvers, in network namespaces
// of their own. They reach no other network and end with the test process.
//
// The package knows nothing of the sensor: it starts programs, asks questions and provides
// the contents of the zones.
package lab
