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

// exchange sends a query and its response through the namespace's own stack.
func exchange(t *testing.T, n *lab.Namespace) {
	t.Helper()
	server := n.ListenUDP(t, netip.AddrPortFrom(server4, dnsPort))
	resolver := n.ListenUDP(t, netip.AddrPortFrom(resolver4, 4000))
	say := func(from, to *net.UDPConn, text string) {
		if _, err := from.WriteTo([]byte("\x00"+text), to.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		to.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := to.Read(make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
	}
	say(resolver, server, "query")
	say(server, resolver, "response")
}

// Loopback shows each packet as it leaves and as it arrives: once is enough.
func TestRingOfLoopbackAndOfAll(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"lo", ring.Any} {
		for _, lanes := range []int{1, 3} {
			t.Run(fmt.Sprint(name, lanes), func(t *testing.T) {
				t.Parallel()
				n := lab.NewNamespace(t)
				cable := plug(t, n, "tap0")
				n.IP(t, "addr add 192.0.2.53/32 dev lo\naddr add 198.51.100.7/32 dev lo")
				cfg := defaults(name)
				cfg.Lanes = lanes
				capture := begin(t, n, cfg)
				exchange(t, n)
				cable.send(t, datagram(resolver4, server4, udp, 4000, dnsPort, "mirrored"))
				want := []string{"query", "response"}
				if name == ring.Any {
					want = append(want, "mirrored", "mirrored") // at both ends of the pair
				}
				capture.endWith(t, want)
				if s := capture.Stats(); s.Packets != uint64(len(want)) || !s.Interfaces[0].Up {
					t.Errorf("stats %+v, want %d packets", s, len(want))
				}
			})
		}
	}
}

// Segmentation offload makes packets of up to 64 KiB, and so does loopback.
func TestRingTakesTheLargestPackets(t *testing.T) {
	t.Parallel()
	n := lab.NewNamespace(t)
	n.IP(t, "addr add 192.0.2.53/32 dev lo\naddr add 198.51.100.7/32 dev lo")
	capture := begin(t, n, defaults("lo"))
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

// show is what ip(8) says inside the namespace.
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
	cable := plug(t, n, "tap0")
	cable.to = []byte{2, 0, 0, 0, 0, 0xaa} // somebody else
	for _, promiscuous := range []bool{false, true} {
		cfg := defaults("tap0")
		cfg.Promiscuous, cfg.Lanes = promiscuous, 2
		capture := begin(t, n, cfg)
		is := strings.Contains(show(t, n, "-d", "link", "show", "tap0"), "promiscuity 1")
		if is != promiscuous {
			t.Errorf("with promiscuous %t the interface is: %t", promiscuous, is)
		}
		cable.send(t, datagram(resolver4, server4, udp, 4000, dnsPort, "to another"))
		capture.endWith(t, []string{"to another"})
		capture.close()
	}
	if strings.Contains(show(t, n, "-d", "link", "show", "tap0"), "promiscuity 1") {
		t.Error("the interface stays promiscuous after the capture")
	}
}

// awaitLog waits for so many log lines with a text.
func (c *capture) awaitLog(t *testing.T, lines int, text string) {
	t.Helper()
	await(t, fmt.Sprintf("%d lines with %q", lines, text), func() bool { return c.log.count(text) == lines })
}

const (
	saidDown = "interface is down"
	saidGone = "interface is gone"
	saidUp   = "interface is up"
)

// An interface that goes down and comes up again has the same lanes as the others, and
// those miss nothing meanwhile.
func TestRingInterfaceGoesDownAndUp(t *testing.T) {
	t.Parallel()
	n := lab.NewNamespace(t)
	asked, told := plug(t, n, "tap0"), plug(t, n, "tap1")
	cfg := defaults("tap0", "tap1")
	cfg.Lanes = 4
	capture := begin(t, n, cfg)
	n.IP(t, "link set tap1 down")
	capture.awaitLog(t, 1, saidDown)
	if s := capture.Stats(); !s.Interfaces[0].Up || s.Interfaces[1].Up {
		t.Errorf("stats %+v: want tap0 up, tap1 down", s)
	}
	asked.send(t, datagram(resolver4, server4, udp, 4000, dnsPort, "meanwhile"))
	capture.await(t, 1)
	capture.forget()
	n.IP(t, "link set tap1 up")
	capture.awaitLog(t, 1, saidUp)
	sendPairs(t, asked, told, 100)
	checkLanes(t, capture, 100)
	if capture.log.count("level=") != 2 {
		t.Errorf("logged:\n%s", capture.log.b.String())
	}
}

// forget starts over.
func (c *capture) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for lane := range c.seen {
		c.seen[lane] = nil
	}
}

// An interface that is removed is opened anew when there is one of its name again.
func TestRingInterfaceIsReplaced(t *testing.T) {
	t.Parallel()
	for name, noticed := range map[string]bool{"after a while": true, "at once": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := lab.NewNamespace(t)
			asked, told := plug(t, n, "tap0"), plug(t, n, "tap1")
			cfg := defaults("tap0", "tap1")
			cfg.Lanes, cfg.Promiscuous = 4, true
			capture := begin(t, n, cfg)
			told.send(t, datagram(server4, resolver4, udp, dnsPort, 4000, "last words"))
			n.IP(t, "link del tap1")
			if noticed {
				capture.awaitLog(t, 1, saidGone)
			}
			told = plug(t, n, "tap1")
			capture.awaitLog(t, 1, saidUp)
			if got := capture.log.count(saidGone); got != 1 {
				t.Errorf("the log tells %d times that the interface is gone", got)
			}
			capture.await(t, 1)
			capture.forget()
			if !strings.Contains(show(t, n, "-d", "link", "show", "tap1"), "promiscuity 1") {
				t.Error("the new interface is not promiscuous")
			}
			sendPairs(t, asked, told, 100)
			checkLanes(t, capture, 100)
			if s := capture.Stats(); s.Packets != 501 || s.Drops != 0 {
				t.Errorf("stats %+v, want 501 packets", s)
			}
		})
	}
}

// A resolver's host may start its interfaces after the sensor.
func TestRingAttachesAnInterfaceThatIsDownAtFirst(t *testing.T) {
	t.Parallel()
	n := lab.NewNamespace(t)
	asked, told := plug(t, n, "tap0"), plug(t, n, "tap1")
	n.IP(t, "link set tap1 down")
	cfg := defaults("tap0", "tap1")
	cfg.Lanes = 4
	capture := begin(t, n, cfg)
	capture.awaitLog(t, 1, saidDown)
	n.IP(t, "link set tap1 up")
	capture.awaitLog(t, 1, saidUp)
	sendPairs(t, asked, told, 100)
	checkLanes(t, capture, 100)
}

// One that is not there at all may be left to come.
func TestRingAwaitsAnInterfaceThatIsAbsent(t *testing.T) {
	t.Parallel()
	n := lab.NewNamespace(t)
	asked := plug(t, n, "tap0")
	cfg := defaults("tap0", "tap1")
	cfg.Lanes, cfg.Absent = 4, true
	capture := begin(t, n, cfg)
	capture.awaitLog(t, 1, saidGone)
	asked.send(t, datagram(resolver4, server4, udp, 4000, dnsPort, "meanwhile"))
	capture.await(t, 1)
	capture.forget()
	told := plug(t, n, "tap1")
	capture.awaitLog(t, 1, saidUp)
	sendPairs(t, asked, told, 100)
	checkLanes(t, capture, 100)
}

func TestRingMayHaveNoInterfaceYet(t *testing.T) {
	t.Parallel()
	n := lab.NewNamespace(t)
	cfg := defaults("tap0")
	cfg.Absent = true
	capture := begin(t, n, cfg)
	asked := plug(t, n, "tap0")
	capture.awaitLog(t, 1, saidUp)
	asked.send(t, datagram(resolver4, server4, udp, 4000, dnsPort, "first"))
	capture.endWith(t, []string{"first"})
}

// What finds the ring full is counted, exactly.
func TestRingOverflowIsCounted(t *testing.T) {
	t.Parallel()
	n := lab.NewNamespace(t)
	cable := plug(t, n, "tap0")
	cfg := defaults("tap0")
	cfg.Size = 1 << 20
	capture := begin(t, n, cfg)
	const sent = 2000
	capture.mu.Lock() // the reader waits after one packet
	for range sent {
		cable.send(t, datagram(resolver4, server4, udp, 4000, dnsPort, strings.Repeat("x", 1200)))
	}
	capture.mu.Unlock()
	capture.stop()
	s := capture.Stats()
	if s.Packets+s.Drops != sent || s.Drops == 0 || s.Freezes == 0 || s.Packets != uint64(capture.total()) || s.Damaged != 0 {
		t.Errorf("%d sent, %d handed out: stats %+v", sent, capture.total(), s)
	}
}
