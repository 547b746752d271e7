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

// pairs are resolvers and servers, and what each says to the other: first the query,
// last the response's fragments.
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
			later(server, resolver, name),
			later(server, resolver, name),
		})
	}
	return all
}

// Directions arrive on interfaces of their own, fragments have no ports, and half of
// the packets have a tag: what two addresses say must meet in one lane all the same.
func TestRingLanesKeepPairsTogether(t *testing.T) {
	t.Parallel()
	n := lab.NewNamespace(t)
	asked, told := plug(t, n, "tap0"), plug(t, n, "tap1")
	cfg := defaults("tap0", "tap1")
	cfg.Lanes = 4
	capture := begin(t, n, cfg)
	sendPairs(t, asked, told, 400)
	checkLanes(t, capture, 400)
}

// On a resolver's own host one direction leaves, which the kernel shows with its link
// header to those who divide it.
func TestRingLanesOfWhatLeavesAndArrives(t *testing.T) {
	t.Parallel()
	n := lab.NewNamespace(t)
	told := plug(t, n, "eth0")
	asked := cableInto(t, n, "eth0")
	cfg := defaults("eth0")
	cfg.Lanes = 4
	capture := begin(t, n, cfg)
	sendPairs(t, asked, told, 400)
	checkLanes(t, capture, 400)
}

func sendPairs(t *testing.T, asked, told *cable, count int) {
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
				asked.send(t, p, tags...)
			} else {
				told.send(t, p, tags...)
			}
		}
	}
}

// checkLanes ends the capture and holds the lanes to have all packets of so many pairs, each pair in one.
func checkLanes(t *testing.T, c *capture, count int) {
	t.Helper()
	c.await(t, 5*count)
	c.stop()
	want, got := map[string]int{}, map[string]int{}
	where := map[string]int{}
	var shares []int
	for lane := range c.seen {
		names := c.names(lane)
		shares = append(shares, len(names))
		for _, name := range names {
			got[name]++
			if before, ok := where[name]; ok && before != lane {
				t.Errorf("%s is in lanes %d and %d", name, before, lane)
			}
			where[name] = lane
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

// A tap has each direction on its own interface: the kernel hands over their blocks
// in any order.
func TestRingOrderIsThatOfTime(t *testing.T) {
	t.Parallel()
	n := lab.NewNamespace(t)
	cables := []*cable{plug(t, n, "tap0"), plug(t, n, "tap1"), plug(t, n, "tap2")}
	capture := begin(t, n, defaults("tap0", "tap1", "tap2"))
	var want []string
	for i := range 3000 {
		name := fmt.Sprint("number ", i)
		want = append(want, name)
		cables[i*i%7%3].send(t, datagram(resolver4, server4, udp, 4000, dnsPort, name))
		if i%500 == 0 {
			capture.await(t, i) // a pause: blocks are handed over half full
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
