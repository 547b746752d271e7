package integration

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

// pairs returns the packets between pairs of resolver and server: a query, a response, a query
// over TCP and two later fragments of a response.
func pairs(count int) (all [][][]byte) {
	for i := range count {
		name := fmt.Sprintf("pair %d", i)
		server, resolver := netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}), resolver4
		if i%2 == 1 {
			server = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(i), byte(i >> 8), 15: 53})
			resolver = resolver6
		}
		all = append(all, [][]byte{
			datagram(resolver, server, udp, uint16(1024+i), dnsPort, name),
			datagram(server, resolver, udp, dnsPort, uint16(1024+i), name),
			datagram(resolver, server, tcp, uint16(2024+i), dnsPort, name),
			laterFragment(server, resolver, name),
			laterFragment(server, resolver, name),
		})
	}
	return all
}

// TestRingLanesKeepPairsTogether checks that all packets between two addresses are read by one
// lane, although each direction has its own interface, fragments have no ports, and half of
// the packets have tags.
func TestRingLanesKeepPairsTogether(t *testing.T) {
	t.Parallel()
	n := lab.NewNamespace(t)
	queries, responses := makePair(t, n, "tap0"), makePair(t, n, "tap1")
	cfg := defaults("tap0", "tap1")
	cfg.Lanes = 4
	capture := startRing(t, n, cfg)
	sendPairs(t, queries, responses, 400)
	checkLanes(t, capture, 400)
}

// TestRingLanesOfOutgoingAndIncomingPackets checks the lanes on a resolver's own host, where
// the kernel presents outgoing packets to the fanout program with their link header.
func TestRingLanesOfOutgoingAndIncomingPackets(t *testing.T) {
	t.Parallel()
	n := lab.NewNamespace(t)
	responses := makePair(t, n, "eth0")
	queries := newSender(t, n, "eth0")
	cfg := defaults("eth0")
	cfg.Lanes = 4
	capture := startRing(t, n, cfg)
	sendPairs(t, queries, responses, 400)
	checkLanes(t, capture, 400)
}

func sendPairs(t *testing.T, queries, responses *sender, count int) {
	t.Helper()
	for i, pair := range pairs(count) {
		var tags []uint16
		if i%4 >= 2 {
			tags = []uint16{0x88a8, 7, 0x8100, 9}
		}
		if i%8 == 7 {
			tags[0] = 0x9100
		}
		for k, p := range pair {
			if k%2 == 0 {
				queries.send(t, p, tags...)
			} else {
				responses.send(t, p, tags...)
			}
		}
	}
}

// checkLanes stops the capture and checks that it has all packets of that many pairs, each
// pair in one lane.
func checkLanes(t *testing.T, c *capture, count int) {
	t.Helper()
	c.await(t, 5*count)
	c.stop()
	want, got := map[string]int{}, map[string]int{}
	laneOf := map[string]int{}
	var shares []int
	for lane := range c.seen {
		names := c.names(lane)
		shares = append(shares, len(names))
		for _, name := range names {
			got[name]++
			if before, ok := laneOf[name]; ok && before != lane {
				t.Errorf("%s is in lanes %d and %d", name, before, lane)
			}
			laneOf[name] = lane
		}
	}
	for i := range count {
		want[fmt.Sprintf("pair %d", i)] = 5
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if slices.Min(shares) < 5*count/len(shares)/2 {
		t.Errorf("the lanes' shares are %v", shares)
	}
}

// TestRingReadsInOrderOfTime checks the order of packets from several interfaces, whose blocks
// the kernel delivers in any order.
func TestRingReadsInOrderOfTime(t *testing.T) {
	t.Parallel()
	n := lab.NewNamespace(t)
	senders := []*sender{makePair(t, n, "tap0"), makePair(t, n, "tap1"), makePair(t, n, "tap2")}
	capture := startRing(t, n, defaults("tap0", "tap1", "tap2"))
	var want []string
	for i := range 3000 {
		name := fmt.Sprint("number ", i)
		want = append(want, name)
		senders[i*i%7%3].send(t, datagram(resolver4, server4, udp, 4000, dnsPort, name))
		if i%500 == 0 {
			capture.await(t, i) // a pause: the kernel delivers half-full blocks
		}
	}
	capture.endWith(t, want)
	before := int64(0)
	for _, p := range capture.seen[0] {
		if p.time < before {
			t.Errorf("%s comes %s late", p.name(), time.Duration(before-p.time))
		}
		before = p.time
	}
}
