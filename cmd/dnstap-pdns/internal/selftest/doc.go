// Package selftest proves on a running sensor that a name that must leave does leave, and
// that a decoy that must not leave does not. It observes all lanes and sinks for these two
// names, for which there are no other queries, and reports at which stage each stopped.
//
// On the sensor [New] answers one POST request at a time: with a line when it observes both
// names, and a second line with the [Verdict]. The command makes the names ([RandomName]) and
// queries a resolver for them ([Ask]) between the two lines.
//
// A verdict is about the two names only. Each must begin with a label that no query of a
// user has, so that a client cannot learn what the resolver is asked. The package stores and
// prints nothing.
package selftest
