package integration

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/ring"
	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

// A probe is a process that captures as user nobody.
type probe struct {
	*lab.Process
	binary string
}

// startProbe starts a copy of the probe, with a capability or, for "", none.
func startProbe(t *testing.T, n *lab.Namespace, capability string, interfaces ...string) probe {
	t.Helper()
	lab.RequirePrograms(t, "setcap", "setpriv")
	dir, err := os.MkdirTemp("", "ringprobe") // not in n.Dir, which may be mounted without capabilities
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p := probe{binary: filepath.Join(dir, "ringprobe")}
	commands := [][]string{{"cp", ringProbe(t), p.binary}, {"chmod", "-R", "a+rX", dir}}
	if capability != "" {
		commands = append(commands, []string{"setcap", capability, p.binary})
	}
	for _, c := range commands {
		if out, err := exec.Command(c[0], c[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v: %s", c, err, out)
		}
	}
	args := append([]string{"--reuid=65534", "--regid=65534", "--clear-groups", p.binary}, interfaces...)
	p.Process = n.Start(t, "ringprobe", exec.Command("setpriv", args...))
	return p
}

func (p probe) awaitOutput(t *testing.T, text string) {
	t.Helper()
	await(t, text, func() bool { return strings.Contains(p.Log(t), text) })
}

// number returns the number that the probe printed after a word.
func (p probe) number(t *testing.T, word string) int {
	t.Helper()
	m := regexp.MustCompile(`(?m)^` + word + ` (\d+)$`).FindStringSubmatch(p.Log(t))
	if m == nil {
		t.Fatalf("the probe printed no %s", word)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestRingNeedsOneCapability checks that CAP_NET_RAW suffices for promiscuous mode, lanes and
// a replaced interface, and that these and an interface that is down use little CPU time.
func TestRingNeedsOneCapability(t *testing.T) {
	t.Parallel()
	n := lab.NewNamespace(t)
	first := makePair(t, n, "tap0")
	makePair(t, n, "tap1")
	p := startProbe(t, n, "cap_net_raw+ep", "tap0", "tap1")
	p.awaitOutput(t, "uid 65534 captures")
	query := datagram(resolver4, server4, udp, 4000, dnsPort, "query")
	first.send(t, query)
	n.IP(t, "link del tap1")
	p.awaitOutput(t, loggedGone)
	n.IP(t, "link set tap0 down")
	p.awaitOutput(t, loggedDown)
	again := makePair(t, n, "tap1")
	p.awaitOutput(t, loggedUp)
	const packets = 21
	for i := 2; i <= packets; i++ { // each is delayed by tap0, which receives nothing
		again.send(t, query)
		p.awaitOutput(t, fmt.Sprintf("packet %d\n", i))
	}
	p.Stop(t)
	if err := p.Wait(0); err != nil {
		t.Error(err)
	}
	if got := p.number(t, "packets"); got != packets {
		t.Errorf("%d packets, want %d", got, packets)
	}
	used, elapsed := p.number(t, "used"), p.number(t, "elapsed")
	t.Logf("%d ms of CPU time in %d ms", used, elapsed)
	if used > elapsed/4 {
		t.Errorf("%d ms of CPU time in %d ms for %d packets", used, elapsed, packets)
	}
}

func TestRingErrorNamesTheMissingCapability(t *testing.T) {
	t.Parallel()
	n := lab.NewNamespace(t)
	p := startProbe(t, n, "", "lo")
	if err := p.Wait(10 * time.Second); err == nil {
		t.Error("the probe captures without a capability")
	}
	for _, want := range []string{"setcap cap_net_raw+ep " + p.binary, "AmbientCapabilities=CAP_NET_RAW"} {
		if !strings.Contains(p.Log(t), want) {
			t.Errorf("the probe printed %q, want %q in it", p.Log(t), want)
		}
	}
}

func TestRingErrorListsTheInterfaces(t *testing.T) {
	t.Parallel()
	n := lab.NewNamespace(t)
	makePair(t, n, "tap0")
	err := errors.New("none")
	n.Enter(t, func() {
		_, err = ring.Open(defaults("tap0", "eth9"), slog.New(slog.DiscardHandler))
	})
	for _, want := range []string{`no interface "eth9"`, "there are: lo, ", "tap0"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want one with %q", err, want)
		}
	}
}

// TestRingTakesManyResolvers checks that the kernel accepts the largest filter.
func TestRingTakesManyResolvers(t *testing.T) {
	t.Parallel()
	n := lab.NewNamespace(t)
	sender := makePair(t, n, "tap0")
	cfg := defaults("tap0")
	a := netip.MustParseAddr("2001:db8:5::1")
	for range 200 {
		cfg.Filter.Resolvers = append(cfg.Filter.Resolvers, netip.PrefixFrom(a, 128))
		a = a.Next()
	}
	capture := startRing(t, n, cfg)
	sender.send(t, datagram(cfg.Filter.Resolvers[201].Addr(), server6, udp, 4000, dnsPort, "of the last"))
	sender.send(t, datagram(a, server6, udp, 4000, dnsPort, "of the next"))
	capture.endWith(t, []string{"of the last"})
}
