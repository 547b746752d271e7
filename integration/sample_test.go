package integration

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/ring"
	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

// TestSampleReceivesWhatTheFilterDrops samples the queries of a host that no capture would list.
func TestSampleReceivesWhatTheFilterDrops(t *testing.T) {
	t.Parallel()
	n := lab.NewNamespace(t)
	c := makePair(t, n, "tap0")
	ctx, stop := context.WithCancel(context.Background())
	const limit = 3
	var names []string
	var sampling sync.WaitGroup
	done := make(chan struct{})
	sampling.Go(func() {
		defer close(done)
		n.Enter(t, func() {
			if err := ring.Sample(ctx, []string{"tap0", "tap9"}, limit, func(p *ring.Packet) {
				names = append(names, packet{data: append([]byte(nil), p.Data...)}.name())
				if p.Protocol != ring.IPv4 || p.Length != len(p.Data) || p.Time <= 0 {
					t.Errorf("protocol %#x, length %d of %d, time %d", p.Protocol, p.Length, len(p.Data), p.Time)
				}
			}); err != nil {
				t.Error(err)
			}
		})
	})
	t.Cleanup(func() { stop(); sampling.Wait() })
	for sent := 0; ; sent++ { // until the sample, which begins at an unknown time, has enough
		select {
		case <-done:
			if len(names) != limit || names[0] != "query" {
				t.Errorf("got %q, want %d queries", names, limit)
			}
			return
		default:
			c.send(t, datagram(server4, resolver4, udp, 4000, 4001, "other"))
			c.send(t, datagram(server4, resolver4, udp, 4000, dnsPort, "query"))
		}
	}
}

// TestStatusNamesUnlistedResolvers captures with resolvers that never query: status names the address
// that does, and /ledger does not.
func TestStatusNamesUnlistedResolvers(t *testing.T) {
	t.Parallel()
	n := lab.NewNamespace(t)
	c := makePair(t, n, "tap0")
	s := startCapture(t, n, 1, packetSourceOf("203.0.113.99", "", "tap0")+jsonLog+fileSink("first", "dnsqr")+"admin {}\n")
	query := packet4(server4, resolver4, udp, 0, 0, []byte{
		0x0f, 0xa0, 0, 53, 0, 20, 0, 0, // UDP: ports, length, no checksum
		0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, // DNS: a query without recursion desired
	})
	want := fmt.Sprintf("few records: tap0 carries queries to port 53 from %s (", server4)
	await(t, "status to name the resolver", func() bool {
		for range 10 {
			c.send(t, query)
		}
		return strings.Contains(s.status(t), want)
	})
	ledger := string(s.get(t, "/ledger"))
	if !strings.Contains(ledger, `"unlisted_queries"`) || strings.Contains(ledger, server4.String()) {
		t.Errorf("/ledger has no count, or an address:\n%s", ledger)
	}
}
