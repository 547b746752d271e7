//go:build sweep

package integration

import (
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

// TestRecordsFollowTheReceiversName moves the receiver's name to another address, in a DNS
// server, after the receiver at the first address has ended. A sink whose path is closed looks
// the name up every 30 s, and then sends what has waited.
func TestRecordsFollowTheReceiversName(t *testing.T) {
	t.Parallel()
	n := lab.NewNamespace(t)
	n.OwnMounts(t)
	var at atomic.Pointer[net.IP]
	move := func(ip net.IP) { at.Store(&ip) }
	move(net.IPv4(127, 0, 0, 2))
	serveName(t, n, "receiver.example.", &at)
	first := n.ListenUDP(t, netip.MustParseAddrPort("127.0.0.2:9430"))
	second := listenAt(t, n, "127.0.0.3:9430")

	s := startSensor(t, n, unixSource+site+"sink \"nmsg\" \"moves\" {\n  to  = \"udp://receiver.example:9430\"\n  mtu = 512\n}\nadmin {}\n")
	const each = 400 // in containers of a few records: a probe takes one
	feedTap(t, s, 1, each)
	await(t, "the first records", func() bool { return s.readLedger(t).sink("moves").Delivered == each })
	first.Close()
	move(net.IPv4(127, 0, 0, 3))
	feedTap(t, s, 10, each/10) // so that the lookup is due well within the time that awaitLog waits
	s.awaitLog(t, "the receiver's name has another address", 1)
	await(t, "an empty queue", func() bool { return s.readLedger(t).sink("moves").Queued == 0 })
	closing := s.stop(t).sinks["moves"]
	arrived := int(countRecords(t, second.finish(t, 512)))
	t.Logf("%d of %d records arrived at the second address", arrived, each)
	if arrived < each/2 || closing.Offered != 2*each || closing.Delivered != 2*each {
		t.Errorf("%d records arrived at the second address; the ledger has %+v", arrived, closing)
	}
	for _, line := range s.logged(t, "the receiver's name has another address") {
		if strings.Contains(line, "127.0.0.") {
			t.Errorf("the log has an address: %s", line)
		}
	}
}
