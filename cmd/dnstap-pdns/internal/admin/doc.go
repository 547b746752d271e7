// Package admin serves the state of a running sensor over HTTP: a page for people, metrics for
// Prometheus, health checks, and the ledger as JSON, for the status command and other programs. It
// reads the sensor's state once for each request, so that the counts in one response add up.
//
// It does not change the sensor, and serves no files of the host. Only a selftest, which package
// selftest handles, has a request body and runs for long. Responses contain neither query names
// nor addresses, with two exceptions: the page's samples, which are off unless configured, and
// /domains, which answers on loopback only. A connection is shown with the user and process of its
// peer, and with the identity and version that the peer sends.
//
// The package does not know the contents of the page, which a [Server] is given.
package admin
