package transform

import (
	"net/netip"
	"testing"
)

func TestRootServersAreThirteenOfEachFamily(t *testing.T) {
	seen := map[netip.Addr]bool{}
	families := map[int]int{}
	for _, a := range RootServers() {
		if seen[a] || !a.IsGlobalUnicast() {
			t.Errorf("%v is given twice, or is no server's", a)
		}
		seen[a] = true
		families[a.BitLen()]++
	}
	if families[32] != 13 || families[128] != 13 {
		t.Errorf("got %d IPv4 and %d IPv6 addresses, want 13 each", families[32], families[128])
	}
}
