//go:build sweep

package integration

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

var (
	soakTime = flag.Duration("soak", 2*time.Minute, "how long TestSoak runs")
	soakRate = flag.Int("rate", 20_000, "messages per second of TestSoak: half in dnstap, half in packets")
)

// longestReloadPause is the longest time between two reloads of the soak.
const longestReloadPause = time.Second

// TestSoak sends dnstap over short connections, and packets, during reloads of random kinds, to a
// file and over UDP. Every message and record is in the ledger, and memory, goroutines and file
// descriptors do not grow.
func TestSoak(t *testing.T) {
	n := lab.NewNamespace(t)
	n.AddAddresses(t, resolver4.String(), server4.String())
	udp := countDatagrams(t, n)
	config := `
source "dnstap" "tap" {
  listen = "unix://DIR/tap.sock"
}
` + packetSourceOf(resolver4.String(), "", "lo") + udpSink("udp", "dnsobs", udp.at, 8192) + rotatedSink("first") + `
admin {}
log {
  level  = "info"
  format = "json"
}
`
	s := startPlainSensor(t, n, config)
	awaitCapture(t, n, 1)
	tap, packets := &tapFeed{path: s.tapPath(), pairs: newExchangeMaker(t, "wild.shop.com.")}, newPacketFeed(t, n)
	stopping := make(chan struct{})
	var feeding sync.WaitGroup
	for _, f := range []feed10ms{tap, packets} {
		feeding.Go(func() {
			if err := feedAtRate(f, *soakRate/2, stopping); err != nil {
				t.Error(err)
			}
		})
	}
	stop := sync.OnceFunc(func() { close(stopping); feeding.Wait() })
	t.Cleanup(stop)

	files, reloads := map[string]uint64{}, 0
	var taken []usage
	began := time.Now()
	for ; time.Since(began) < *soakTime && !t.Failed(); reloads++ {
		s.reloadAtRandom(t, config)
		s.countFiles(t, files)
		taken = append(taken, s.usage(t))
		delayFor(rand.N(longestReloadPause))
	}
	stop()
	took := time.Since(began)
	closing := s.stop(t)
	s.countFiles(t, files)
	kernel := s.packets(t)

	if got := closing.sources["tap"]; got.Read != tap.sent || got.Records != tap.sent/2 {
		t.Errorf("%d messages sent over dnstap, the ledger has %+v", tap.sent, got)
	}
	if got := kernel.counts["packets"]; got+kernel.dropped != packets.sent {
		t.Errorf("%d packets sent, %d read and %d dropped by the kernel", packets.sent, got, kernel.dropped)
	}
	if got := closing.sources["span"]; kernel.dropped == 0 && got.Records != packets.sent/2 {
		t.Errorf("%d packets sent, the ledger has %+v", packets.sent, got)
	}
	files["udp"] = udp.end(t)
	for name, counted := range files {
		sink := closing.sinks[name]
		if counted != sink.Delivered || sink.Delivered != sink.Offered {
			t.Errorf("sink %s: %d records counted, the ledger has %+v", name, counted, sink)
		}
		if name != "second" && sink.Delivered != closing.Records {
			t.Errorf("sink %s: %d of %d records delivered", name, sink.Delivered, closing.Records)
		}
	}
	t.Logf("%s: %d messages, %.0f per second; %d records; %d reloads, %d connections; %d packets dropped by the kernel",
		took.Round(time.Second), tap.sent+packets.sent, float64(tap.sent+packets.sent)/took.Seconds(), closing.Records,
		reloads, tap.connections, kernel.dropped)
	checkFlat(t, taken)
}

// rotatedSink returns a file sink that often finishes a file.
func rotatedSink(name string) string {
	return strings.Replace(fileSink(name, "dnsqr"), `"0s"`, `"2s"`, 1)
}

// reloadAtRandom reloads one of several configurations that keep the sources and sinks of config.
func (s *sensor) reloadAtRandom(t *testing.T, config string) {
	t.Helper()
	const failed = "reload failed; the configuration in force stays"
	switch rand.N(6) {
	case 0:
		s.reload(t, config, "reloaded")
	case 1:
		s.reload(t, config+rotatedSink("second"), "reloaded")
	case 2:
		s.reload(t, config+"source \"dnstap\" \"more\" {\n  listen = \"unix://DIR/more.sock\"\n}\n", "reloaded")
	case 3:
		s.reload(t, config+fmt.Sprintf("scrub {\n  local_names = [\"n%d.example.net\"]\n}\n", rand.N(1000)), "reloaded")
	case 4:
		s.reload(t, config+fmt.Sprintf("pairing {\n  timeout = \"%ds\"\n}\n", 30+rand.N(30)), "reloaded")
	case 5:
		s.reload(t, config+"sink {", failed)
	}
}

// countFiles adds the records in the finished files of each file sink to counts, by sink, and
// removes the files.
func (s *sensor) countFiles(t *testing.T, counts map[string]uint64) {
	t.Helper()
	for _, sink := range []string{"first", "second"} {
		finished, err := filepath.Glob(filepath.Join(s.dir, sink, "[0-9]*.nmsg"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range finished {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
			counts[sink] += countRecords(t, data)
		}
	}
}

// datagrams is a receiver that counts records.
type datagrams struct {
	at  netip.AddrPort
	end func(*testing.T) uint64 // ends receiving
}

func countDatagrams(t *testing.T, n *lab.Namespace) datagrams {
	t.Helper()
	conn := n.ListenUDP(t, netip.MustParseAddrPort("127.0.0.1:0"))
	allowBuffer(t, conn, 64<<20)
	at := netip.MustParseAddrPort(conn.LocalAddr().String())
	var records uint64
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 1<<16)
		for {
			got, err := conn.Read(b)
			if err != nil || string(b[:got]) == endDatagram {
				return
			}
			records += countRecords(t, b[:got])
		}
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	return datagrams{at, func(t *testing.T) uint64 {
		t.Helper()
		if _, err := conn.WriteToUDPAddrPort([]byte(endDatagram), at); err != nil {
			t.Fatal(err)
		}
		<-done
		return records
	}}
}

// A usage is what the sensor used at one moment.
type usage struct{ resident, goroutines, descriptors int }

var goroutinesLine = regexp.MustCompile(`(?m)^go_goroutines (\d+)$`)

func (s *sensor) usage(t *testing.T) (u usage) {
	t.Helper()
	m := goroutinesLine.FindSubmatch(s.get(t, "/metrics"))
	if m == nil {
		t.Fatal("/metrics has no go_goroutines")
	}
	u.goroutines, _ = strconv.Atoi(string(m[1]))
	u.resident = memoryStatus(t, s, "VmRSS:")
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.PID()))
	if err != nil {
		t.Fatal(err)
	}
	u.descriptors = len(open)
	return u
}

// checkFlat compares the highest values of the second half with those of the first. The margins
// are far below what one leak for each reload, connection or message would add.
func checkFlat(t *testing.T, taken []usage) {
	t.Helper()
	for _, of := range []struct {
		name   string
		value  func(usage) int
		margin int
	}{
		{"resident KiB", func(u usage) int { return u.resident >> 10 }, 16 << 10},
		{"goroutines", func(u usage) int { return u.goroutines }, 10},
		{"file descriptors", func(u usage) int { return u.descriptors }, 10},
	} {
		var values []int
		for _, s := range taken {
			values = append(values, of.value(s))
		}
		if len(values) < 2 {
			t.Fatalf("%d samples", len(values))
		}
		first, second := slices.Max(values[:len(values)/2]), slices.Max(values[len(values)/2:])
		t.Logf("%s: at most %d in the first half, %d in the second, %d at the end", of.name, first, second, values[len(values)-1])
		if second > first+of.margin {
			t.Errorf("%s: at most %d in the first half, %d in the second", of.name, first, second)
		}
	}
}
