package integration

import (
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/ring"
	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

// exchange sends a query and its response through the namespace's own network stack.
func exchange(t *testing.T, n *lab.Namespace) {
	t.Helper()
	server := n.ListenUDP(t, netip.AddrPortFrom(server4, dnsPort))
	resolver := n.ListenUDP(t, netip.AddrPortFrom(resolver4, 4000))
	send := func(from, to *net.UDPConn, text string) {
		if _, err := from.WriteTo([]byte("\x00"+text), to.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		to.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := to.Read(make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
	}
	send(resolver, server, "query")
	send(server, resolver, "response")
}

// TestRingOnLoopbackAndAny checks that a packet on loopback, which the kernel presents twice,
// is read once.
func TestRingOnLoopbackAndAny(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"lo", ring.Any} {
		for _, lanes := range []int{1, 3} {
			t.Run(fmt.Sprint(name, lanes), func(t *testing.T) {
				t.Parallel()
				n := lab.NewNamespace(t)
				sender := makePair(t, n, "tap0")
				n.IP(t, "addr add 192.0.2.53/32 dev lo\naddr add 198.51.100.7/32 dev lo")
				cfg := defaults(name)
				cfg.Lanes = lanes
				capture := startRing(t, n, cfg)
				exchange(t, n)
				sender.send(t, datagram(resolver4, server4, udp, 4000, dnsPort, "mirrored"))
				want := []string{"query", "response"}
				if name == ring.Any {
					want = append(want, "mirrored", "mirrored") // on both interfaces of the pair
				}
				capture.endWith(t, want)
				if s := capture.Stats(); s.Packets != uint64(len(want)) || !s.Interfaces[0].Up {
					t.Errorf("stats %+v, want %d packets", s, len(want))
				}
			})
		}
	}
}

// TestRingTakesTheLargestPackets checks packets of 64 KiB, as on loopback or with segmentation
// offload.
func TestRingTakesTheLargestPackets(t *testing.T) {
	t.Parallel()
	n := lab.NewNamespace(t)
	n.IP(t, "addr add 192.0.2.53/32 dev lo\naddr add 198.51.100.7/32 dev lo")
	capture := startRing(t, n, defaults("lo"))
	server := n.ListenUDP(t, netip.AddrPortFrom(server4, dnsPort))
	resolver := n.ListenUDP(t, netip.AddrPortFrom(resolver4, 4000))
	const largest = 65535 - 20 - 8
	for range 20 {
		if _, err := resolver.WriteTo(make([]byte, largest), server.LocalAddr()); err != nil {
			t.Fatal(err)
		}
	}
	capture.await(t, 20)
	capture.stop()
	if capture.total() != 20 {
		t.Errorf("%d packets, want 20", capture.total())
	}
	for _, p := range capture.seen[0] {
		if p.length != 65535 || len(p.data) != 65535 {
			t.Errorf("%d bytes of %d, want 65535", len(p.data), p.length)
		}
	}
}

// show returns the output of ip(8) inside the namespace.
func show(t *testing.T, n *lab.Namespace, args ...string) string {
	t.Helper()
	var out []byte
	var err error
	n.Enter(t, func() { out, err = exec.Command("ip", args...).CombinedOutput() })
	if err != nil {
		t.Fatalf("ip %v: %v: %s", args, err, out)
	}
	return string(out)
}

func TestRingIsPromiscuousWhenAsked(t *testing.T) {
	t.Parallel()
	n := lab.NewNamespace(t)
	sender := makePair(t, n, "tap0")
	sender.to = []byte{2, 0, 0, 0, 0, 0xaa} // the address of another machine
	for _, promiscuous := range []bool{false, true} {
		cfg := defaults("tap0")
		cfg.Promiscuous, cfg.Lanes = promiscuous, 2
		capture := startRing(t, n, cfg)
		is := strings.Contains(show(t, n, "-d", "link", "show", "tap0"), "promiscuity 1")
		if is != promiscuous {
			t.Errorf("the interface is promiscuous: %t, configured: %t", is, promiscuous)
		}
		sender.send(t, datagram(resolver4, server4, udp, 4000, dnsPort, "to another"))
		capture.endWith(t, []string{"to another"})
		capture.close()
	}
	if strings.Contains(show(t, n, "-d", "link", "show", "tap0"), "promiscuity 1") {
		t.Error("the interface stays promiscuous after the capture")
	}
}

// awaitLog waits until that many log lines contain a text.
func (c *capture) awaitLog(t *testing.T, lines int, text string) {
	t.Helper()
	await(t, fmt.Sprintf("%d lines with %q", lines, text), func() bool { return c.log.count(text) == lines })
}

const (
	loggedDown = "interface is down"
	loggedGone = "interface is gone"
	loggedUp   = "interface is up"
)

// TestRingInterfaceGoesDownAndUp checks that an interface that was down has the same lanes as
// the others afterwards, and that the others miss nothing meanwhile.
func TestRingInterfaceGoesDownAndUp(t *testing.T) {
	t.Parallel()
	n := lab.NewNamespace(t)
	queries, responses := makePair(t, n, "tap0"), makePair(t, n, "tap1")
	cfg := defaults("tap0", "tap1")
	cfg.Lanes = 4
	capture := startRing(t, n, cfg)
	n.IP(t, "link set tap1 down")
	capture.awaitLog(t, 1, loggedDown)
	if s := capture.Stats(); !s.Interfaces[0].Up || s.Interfaces[1].Up {
		t.Errorf("stats %+v: want tap0 up, tap1 down", s)
	}
	queries.send(t, datagram(resolver4, server4, udp, 4000, dnsPort, "meanwhile"))
	capture.await(t, 1)
	capture.discardSeen()
	n.IP(t, "link set tap1 up")
	capture.awaitLog(t, 1, loggedUp)
	sendPairs(t, queries, responses, 100)
	checkLanes(t, capture, 100)
	if capture.log.count("level=") != 2 {
		t.Errorf("logged:\n%s", capture.log.b.String())
	}
}

// discardSeen discards the packets that were read.
func (c *capture) discardSeen() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for lane := range c.seen {
		c.seen[lane] = nil
	}
}

// TestRingInterfaceIsReplaced checks that a removed interface is opened again when one of its
// name exists.
func TestRingInterfaceIsReplaced(t *testing.T) {
	t.Parallel()
	for name, noticed := range map[string]bool{"after a while": true, "at once": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := lab.NewNamespace(t)
			queries, responses := makePair(t, n, "tap0"), makePair(t, n, "tap1")
			cfg := defaults("tap0", "tap1")
			cfg.Lanes, cfg.Promiscuous = 4, true
			capture := startRing(t, n, cfg)
			responses.send(t, datagram(server4, resolver4, udp, dnsPort, 4000, "before the removal"))
			n.IP(t, "link del tap1")
			if noticed {
				capture.awaitLog(t, 1, loggedGone)
			}
			responses = makePair(t, n, "tap1")
			capture.awaitLog(t, 1, loggedUp)
			if got := capture.log.count(loggedGone); got != 1 {
				t.Errorf("the log has %d lines that the interface is gone, want 1", got)
			}
			capture.await(t, 1)
			capture.discardSeen()
			if !strings.Contains(show(t, n, "-d", "link", "show", "tap1"), "promiscuity 1") {
				t.Error("the new interface is not promiscuous")
			}
			sendPairs(t, queries, responses, 100)
			checkLanes(t, capture, 100)
			if s := capture.Stats(); s.Packets != 501 || s.Drops != 0 {
				t.Errorf("stats %+v, want 501 packets", s)
			}
		})
	}
}

// TestRingAttachesAnInterfaceThatIsDownAtFirst checks a host that starts its interfaces after
// the sensor.
func TestRingAttachesAnInterfaceThatIsDownAtFirst(t *testing.T) {
	t.Parallel()
	n := lab.NewNamespace(t)
	queries, responses := makePair(t, n, "tap0"), makePair(t, n, "tap1")
	n.IP(t, "link set tap1 down")
	cfg := defaults("tap0", "tap1")
	cfg.Lanes = 4
	capture := startRing(t, n, cfg)
	capture.awaitLog(t, 1, loggedDown)
	n.IP(t, "link set tap1 up")
	capture.awaitLog(t, 1, loggedUp)
	sendPairs(t, queries, responses, 100)
	checkLanes(t, capture, 100)
}

// TestRingAwaitsAnAbsentInterface checks that an interface may be created later, if allowed.
func TestRingAwaitsAnAbsentInterface(t *testing.T) {
	t.Parallel()
	n := lab.NewNamespace(t)
	queries := makePair(t, n, "tap0")
	cfg := defaults("tap0", "tap1")
	cfg.Lanes, cfg.AllowAbsent = 4, true
	capture := startRing(t, n, cfg)
	capture.awaitLog(t, 1, loggedGone)
	queries.send(t, datagram(resolver4, server4, udp, 4000, dnsPort, "meanwhile"))
	capture.await(t, 1)
	capture.discardSeen()
	responses := makePair(t, n, "tap1")
	capture.awaitLog(t, 1, loggedUp)
	sendPairs(t, queries, responses, 100)
	checkLanes(t, capture, 100)
}

func TestRingMayStartWithoutInterface(t *testing.T) {
	t.Parallel()
	n := lab.NewNamespace(t)
	cfg := defaults("tap0")
	cfg.AllowAbsent = true
	capture := startRing(t, n, cfg)
	queries := makePair(t, n, "tap0")
	capture.awaitLog(t, 1, loggedUp)
	queries.send(t, datagram(resolver4, server4, udp, 4000, dnsPort, "first"))
	capture.endWith(t, []string{"first"})
}

// TestRingOverflowIsCounted checks that packets for which the ring has no room are counted
// exactly.
func TestRingOverflowIsCounted(t *testing.T) {
	t.Parallel()
	n := lab.NewNamespace(t)
	sender := makePair(t, n, "tap0")
	cfg := defaults("tap0")
	cfg.Size = 1 << 20
	capture := startRing(t, n, cfg)
	const sent = 2000
	capture.mu.Lock() // the reader blocks after one packet
	for range sent {
		sender.send(t, datagram(resolver4, server4, udp, 4000, dnsPort, strings.Repeat("x", 1200)))
	}
	capture.mu.Unlock()
	capture.stop()
	s := capture.Stats()
	if s.Packets+s.Drops != sent || s.Drops == 0 || s.Freezes == 0 || s.Packets != uint64(capture.total()) || s.Damaged != 0 {
		t.Errorf("%d sent, %d read: stats %+v", sent, capture.total(), s)
	}
}
