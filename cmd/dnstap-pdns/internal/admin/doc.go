// Package admin shows over HTTP what a running sensor does: to people on a page, to
// Prometheus, to whatever looks whether it lives, and, as JSON, to the status command
// and everything else that wants the ledger. It asks the sensor for its state once a
// request, so that what one answer shows adds up.
//
// It changes nothing, and serves no file of the machine's. One request has a body and
// lasts: that for a selftest, which package selftest answers. It tells no name that was
// asked and no address, but for the page's samples, which are off unless the
// configuration asks for them, and for /domains, which answers on loopback only; who connects is told by user, process and what it says of
// itself.
//
// What the page looks like is package page's business, which a [Server] is given.
package admin
