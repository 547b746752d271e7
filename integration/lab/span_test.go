package lab

import (
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// large returns questions whose answers do not fit one packet: 3 KB and 5 KB.
func large() []Question {
	return []Question{
		{Name: "half.big.com.", Type: dns.TypeTXT, From: Client1},
		{Name: "big.com.", Type: dns.TypeTXT, From: Client1},
	}
}

// capture is a running tcpdump.
type capture struct {
	*Process
	file string
}

func (n *Namespace) capture(t testing.TB, name string) capture {
	t.Helper()
	RequirePrograms(t, "tcpdump")
	file := filepath.Join(n.Dir, name+".pcap")
	p := n.Start(t, "tcpdump", exec.Command("tcpdump", "-i", name, "-U", "--immediate-mode", "-Z", "root", "-w", file))
	for deadline := time.Now().Add(startTime); !strings.Contains(p.Log(t), "listening on"); {
		if p.Ended() || time.Now().After(deadline) {
			t.Fatalf("tcpdump does not listen: %s", p.Log(t))
		}
		<-time.After(5 * time.Millisecond)
	}
	return capture{p, file}
}

// stop ends the capture after a short wait for the last packets.
func (c capture) stop(t testing.TB) {
	t.Helper()
	<-time.After(300 * time.Millisecond)
	c.Signal(t, syscall.SIGINT)
	c.awaitEnd(t)
}

// count returns the number of captured packets that match a tcpdump expression.
func (c capture) count(t testing.TB, format string, args ...any) int {
	t.Helper()
	return strings.Count(c.print(t, fmt.Sprintf(format, args...)), "\n")
}

func (c capture) print(t testing.TB, options ...string) string {
	t.Helper()
	out, err := exec.Command("tcpdump", append([]string{"-n", "-r", c.file}, options...)...).Output()
	if err != nil {
		t.Fatalf("tcpdump -r %s %q: %v", c.file, options, err)
	}
	return string(out)
}

const (
	fragments4 = "ip[6:2] & 0x3fff != 0"
	fragments6 = "ip6 proto 44"
)

// TestSpanPortShowsBothDirections checks that the span port has the packets of both
// directions of each resolver, with large answers in fragments or in many segments.
func TestSpanPortShowsBothDirections(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		start      func(*World, testing.TB, Options) *Resolver
		longestUDP int
	}{
		"Unbound":  {(*World).Unbound, 65535},
		"BIND":     {(*World).BIND, 4096},
		"PowerDNS": {(*World).PowerDNS, 65535},
		"Knot":     {(*World).Knot, 65535},
	} {
		for _, fragments := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, fragments %v", name, fragments), func(t *testing.T) {
				t.Parallel()
				w := NewWorld(t)
				port := w.SpanPort(t, SpanOptions{MTU: 1280})
				options := Options{Span: port}
				if fragments {
					options.LongestUDP = c.longestUDP
				}
				resolver := c.start(w, t, options)
				on := port.capture(t, port.Interfaces[0])
				for i, answer := range w.Ask(t, resolver, large()) {
					checkClient(t, w.Zones, large()[i], answer)
				}
				on.stop(t)

				asked, answered := 0, 0
				for _, a := range []string{Resolver4, Resolver6} {
					asked += on.count(t, "src host %s and dst port 53", a)
					answered += on.count(t, "dst host %s and src port 53", a)
				}
				pieces := on.count(t, "(%s) or (%s)", fragments4, fragments6)
				segments := on.count(t, "tcp and greater 1200 and src port 53")
				t.Logf("%d packets of queries, %d of answers, %d fragments, %d full segments", asked, answered, pieces, segments)
				if asked == 0 || answered == 0 {
					t.Errorf("%d packets of queries, %d of answers", asked, answered)
				}
				if (pieces > 0) != fragments || !fragments && segments < 3 {
					t.Errorf("%d fragments, %d full segments", pieces, segments)
				}
				if all := on.print(t, "-vv"); strings.Contains(all, "bad udp cksum") || strings.Contains(all, "(incorrect") {
					t.Errorf("checksums are wrong:\n%s", all)
				}
				if n := on.count(t, "greater 1295"); n > 0 {
					t.Errorf("%d packets are longer than the MTU of the link", n)
				}
			})
		}
	}
}

// TestTapShowsOneDirectionOnEachInterface checks that a tap separates the directions.
func TestTapShowsOneDirectionOnEachInterface(t *testing.T) {
	t.Parallel()
	w := NewWorld(t)
	port := w.SpanPort(t, SpanOptions{TwoInterfaces: true})
	resolver := w.Unbound(t, Options{Span: port})
	out, in := port.capture(t, port.Interfaces[0]), port.capture(t, port.Interfaces[1])
	w.Ask(t, resolver, Questions()[:20])
	out.stop(t)
	in.stop(t)
	for _, a := range []string{Resolver4, Resolver6} {
		sent, received := out.count(t, "src host %s and port 53", a), in.count(t, "dst host %s and port 53", a)
		if sent == 0 || received == 0 {
			t.Errorf("%s: %d packets sent, %d received; want some of each", a, sent, received)
		}
		if wrong := out.count(t, "dst host %s", a) + in.count(t, "src host %s", a); wrong > 0 {
			t.Errorf("%s: %d packets are on the other interface", a, wrong)
		}
	}
}

// TestSpanPortDelaysCopies checks that copies arrive after the configured delay.
func TestSpanPortDelaysCopies(t *testing.T) {
	t.Parallel()
	const late = 700 * time.Millisecond
	w := NewWorld(t)
	port := w.SpanPort(t, SpanOptions{Delay: late})
	resolver := w.Unbound(t, Options{Span: port})
	on := port.capture(t, port.Interfaces[0])
	marker := Question{Name: "marker.shop.com.", Type: dns.TypeA, From: Client1}.message()
	began := time.Now()
	if _, err := w.exchange(t.Context(), "udp", netip.MustParseAddr(Client1), resolver.Addr, marker, startTime); err != nil {
		t.Fatal(err)
	}
	for on.count(t, "src host %s", Client1) == 0 && time.Since(began) < startTime {
		<-time.After(20 * time.Millisecond)
	}
	if took := time.Since(began); took < late || took > startTime {
		t.Errorf("the copy came after %v, want %v", took, late)
	}
	<-time.After(late)
	on.stop(t)
	if n := on.count(t, "src host %s and port 53", Resolver4) + on.count(t, "src host %s and port 53", Resolver6); n == 0 {
		t.Error("no query of the resolver's on the span port")
	}
}
