package integration

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

// sixKB returns the i-th question for a TXT RRset of 6 KB.
func sixKB(i int) lab.Question {
	return lab.Question{Name: fmt.Sprintf("t%d.six.big.com.", i), Type: dns.TypeTXT, From: lab.Client1}
}

// TestLargeAnswersAreWhole has servers send 6 KB over a link with an MTU of 1280 bytes: in
// fragments over both address families, or over TCP in many segments. The records contain
// complete answers. BIND accepts at most 4 KB over UDP, so it gets 3 KB in fragments.
func TestLargeAnswersAreWhole(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		start      startResolver
		longestUDP int // EDNS buffer size; 0: the default, which leads to TCP
		question   func(i int) lab.Question
	}{
		"Unbound, fragments":  {(*lab.World).Unbound, 65535, sixKB},
		"BIND, fragments":     {(*lab.World).BIND, 4096, threeKB},
		"PowerDNS, fragments": {(*lab.World).PowerDNS, 65535, sixKB},
		"Knot, fragments":     {(*lab.World).Knot, 65535, sixKB},
		"Unbound, TCP":        {(*lab.World).Unbound, 0, sixKB},
		"BIND, TCP":           {(*lab.World).BIND, 0, sixKB},
		"PowerDNS, TCP":       {(*lab.World).PowerDNS, 0, sixKB},
		"Knot, TCP":           {(*lab.World).Knot, 0, sixKB},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := lab.NewWorld(t)
			port := w.SpanPort(t, lab.SpanOptions{MTU: 1280})
			s := startCapture(t, port.Namespace, 1, packetSource("", port.Interfaces...)+site+fileSink("first", "dnsqr"))
			resolver := c.start(w, t, lab.Options{Span: port, LongestUDP: c.longestUDP})
			var asked []lab.Question
			for range 2 {
				for range 10 {
					asked = append(asked, c.question(len(asked)))
				}
				w.Ask(t, resolver, asked[len(asked)-10:])
				if c.longestUDP > 0 && !fragmentedBoth(t, w) {
					removeUsedFamily(t, w)
				}
			}
			resolver.StopNow(t)
			closing := s.stop(t)

			out := s.written(t, "first")
			checkRecords(t, w.Zones, out) // compares complete answers
			checkExpected(t, w.Zones, out, asked)
			packets := s.packets(t)
			packets.checkWhole(t)
			if c.longestUDP > 0 {
				checkFragments(t, w, packets.counts, uint64(len(asked)))
			} else {
				checkSegments(t, packets.counts, closing, uint64(len(asked)))
			}
			t.Logf("%d questions, %v, %+v", len(asked), packets.counts, closing.account)
		})
	}
}

// threeKB returns the i-th question for a TXT RRset of 3 KB.
func threeKB(i int) lab.Question {
	return lab.Question{Name: fmt.Sprintf("t%d.three.big.com.", i), Type: dns.TypeTXT, From: lab.Client1}
}

// fragmentation counts the datagrams that the kernel of the servers fragmented, and the
// fragments, over IPv4 and over IPv6.
type fragmentation struct{ datagrams4, pieces4, datagrams6, pieces6 uint64 }

func readFragmentation(t *testing.T, w *lab.World) fragmentation {
	t.Helper()
	counters := map[string]uint64{}
	w.Enter(t, func() {
		four, err := os.ReadFile("/proc/thread-self/net/snmp")
		if err != nil {
			t.Error(err)
		}
		six, err := os.ReadFile("/proc/thread-self/net/snmp6")
		if err != nil {
			t.Error(err)
		}
		readCounters(counters, string(four), string(six))
	})
	return fragmentation{counters["Ip FragOKs"], counters["Ip FragCreates"], counters["Ip6FragOKs"], counters["Ip6FragCreates"]}
}

// readCounters reads the counters of IPv4, which are in columns, and of IPv6, in lines.
func readCounters(into map[string]uint64, four, six string) {
	lines := strings.Split(four, "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		names, values := strings.Fields(lines[i]), strings.Fields(lines[i+1])
		for j := 1; j < len(names) && j < len(values); j++ {
			into[strings.TrimSuffix(names[0], ":")+" "+names[j]], _ = strconv.ParseUint(values[j], 10, 64)
		}
	}
	for line := range strings.Lines(six) {
		if f := strings.Fields(line); len(f) == 2 {
			into[f[0]], _ = strconv.ParseUint(f[1], 10, 64)
		}
	}
}

func fragmentedBoth(t *testing.T, w *lab.World) bool {
	c := readFragmentation(t, w)
	return c.datagrams4 > 0 && c.datagrams6 > 0
}

// removeUsedFamily removes the servers' addresses of the family that was used, because most
// resolvers prefer the server that answered fastest.
func removeUsedFamily(t *testing.T, w *lab.World) {
	t.Helper()
	if readFragmentation(t, w).datagrams4 > 0 {
		w.IP(t, "addr del 203.0.113.10/32 dev lo\naddr del 203.0.113.11/32 dev lo")
	} else {
		w.IP(t, "addr del 2001:db8:113::10/128 dev lo")
	}
}

// checkFragments compares the reassembled datagrams with those that the kernel fragmented.
func checkFragments(t *testing.T, w *lab.World, counts map[string]uint64, asked uint64) {
	t.Helper()
	c := readFragmentation(t, w)
	if !fragmentedBoth(t, w) || c.datagrams4+c.datagrams6 < asked {
		t.Errorf("servers fragmented %+v for %d answers: the test checks nothing", c, asked)
	}
	if got, want := counts["fragments"], c.pieces4+c.pieces6; got != want {
		t.Errorf("%d fragments captured, %d were sent", got, want)
	}
	if got, want := counts["assembled"], c.datagrams4+c.datagrams6; got != want {
		t.Errorf("%d datagrams were reassembled, %d were fragmented", got, want)
	}
}

// checkSegments checks that each question was repeated over TCP after a truncated answer over
// UDP.
func checkSegments(t *testing.T, counts map[string]uint64, closing ledger, asked uint64) {
	t.Helper()
	const least = 5 // a segment holds 1240 bytes
	switch {
	case closing.Dropped["truncated"] < asked:
		t.Errorf("%d truncated answers to %d questions", closing.Dropped["truncated"], asked)
	case counts["tcp_messages"] < 2*asked:
		t.Errorf("%d messages over TCP, want a query and a response for each of %d questions", counts["tcp_messages"], asked)
	case counts["tcp_segments"] < least*asked:
		t.Errorf("%d segments for %d answers", counts["tcp_segments"], asked)
	}
}
