package collector

import (
	"net"
	"net/netip"
	"testing"
)

func TestAnyIPv4AddressIsNoIPv6Address(t *testing.T) {
	for address, wantIPv6 := range map[string]bool{"0.0.0.0:0": false, "127.0.0.1:0": false, "[::]:0": true, "[::1]:0": true} {
		l, err := ListenTCP(address)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		at := l.Addr().(*net.TCPAddr).AddrPort()
		nc, err := net.Dial("tcp6", netip.AddrPortFrom(netip.IPv6Loopback(), at.Port()).String())
		if err == nil {
			nc.Close()
		}
		if (err == nil) != wantIPv6 {
			t.Errorf("%s, reached over IPv6: %v", address, err)
		}
	}
}
