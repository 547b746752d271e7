package collector

import (
	"net"
	"net/netip"
)

// ListenTCP listens on HOST:PORT. It takes 0.0.0.0 at its word: package net would
// listen on IPv6 too.
func ListenTCP(address string) (net.Listener, error) {
	network := "tcp"
	if at, err := netip.ParseAddrPort(address); err == nil && at.Addr().Is4() {
		network = "tcp4"
	}
	return net.Listen(network, address)
}
