package integration

import (
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

// realCaptures lists the captures that are replayed during the attacks, of the first resolvers.
var realCaptures = []string{"bind", "kresd", "pdns", "unbound"}

// TestAttacksCostNothing replays attacks in the middle of real resolvers' packets. The
// resolvers' records are complete, memory is bounded, and every packet is accounted for. The
// test does not run in parallel, because it relies on the rate of packets.
func TestAttacksCostNothing(t *testing.T) {
	const mostMemory = 96 << 20
	n := lab.NewNamespace(t)
	makeLink(t, n, "wire0")
	s := startPlainSensor(t, n, packetSourceOf(firstResolver, decapsulating, "wire0")+keepAddress+fileSink("first", "dnsqr"))
	awaitCapture(t, n, 1)
	var good []string
	for _, name := range realCaptures {
		good = append(good, "testdata/captures/"+name+".pcap")
	}
	hostile := filepath.Join(n.Dir, "hostile.pcap")
	count := attackFile(t, hostile)

	flow := startReplay(t, n, "tcpreplay", "wire0-in", []string{"--pps=300"}, good...)
	awaitReplays(t, startReplay(t, n, "tcpreplay", "wire0-in", []string{"--pps=30000"}, hostile))
	if flow.Ended() {
		t.Error("the ordinary packets ended before the attacks: the test checks too little")
	}
	awaitReplays(t, flow)
	peak := residentPeak(t, s)
	closing := s.stop(t)
	packets := s.packets(t)
	packets.checkNoDrops(t)
	checkSame(t, s.replayed(t, good...), s.written(t, "first"))
	if peak > mostMemory {
		t.Errorf("peak memory is %d MiB, want at most %d", peak>>20, mostMemory>>20)
	}
	if packets.received < uint64(count)*9/10 { // the kernel's filter drops some
		t.Errorf("%d packets captured of the attacks' %d", packets.received, count)
	}
	for _, name := range []string{"too_deep", "fragments_malformed", "overlapping", "fragments_evicted", "tcp_evicted", "tcp_broken"} {
		if packets.counts[name] == 0 {
			t.Errorf("%s: none", name)
		}
	}
	if closing.Dropped["malformed"] == 0 {
		t.Error("nothing was malformed")
	}
	t.Logf("%d packets of attacks; peak memory %d MiB; %+v; %v", count, peak>>20, closing.account, packets.counts)
}

// TestCutPacketsAreHarmless replays files whose packets were captured incompletely: each
// incomplete packet is counted, and complete ones yield their records.
func TestCutPacketsAreHarmless(t *testing.T) {
	t.Parallel()
	lab.RequirePrograms(t, "tcpdump")
	s := newSensor(t, lab.NewNamespace(t))
	s.configure(t, packetSource("", "lo")+keepAddress)
	const whole = "testdata/captures/unbound.pcap"
	want := recordCounts(s.replayed(t, whole))
	before := 0
	for _, length := range []int{20, 60, 100, 150, 300} {
		file := filepath.Join(s.dir, fmt.Sprintf("cut%d.pcap", length))
		frames, infos := packetsOf(t, whole)
		shorter := 0
		for i := range frames {
			if len(frames[i]) > length {
				frames[i] = frames[i][:length]
				shorter++
			}
			infos[i].CaptureLength = len(frames[i])
		}
		writePackets(t, file, frames, infos)
		checkCut(t, file, shorter)
		got := recordCounts(s.replayed(t, file))
		for record := range got {
			if want[record] == 0 {
				t.Errorf("packets cut to %d bytes yield a wrong record: %s", length, record)
			}
		}
		if len(got) < before || len(got) >= len(want) {
			t.Errorf("packets cut to %d bytes yield %d records, shorter ones %d, complete ones %d", length, len(got), before, len(want))
		}
		before = len(got)
	}
	if before == 0 {
		t.Error("packets cut to 300 bytes yield no record")
	}
}

// checkCut compares the count of the replay command with the number of cut packets.
func checkCut(t *testing.T, file string, want int) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), sensorBinary, "replay", "--resolvers", firstResolver, "--to", "file://"+file+".nmsg", file).CombinedOutput()
	got := 0
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "cut" {
			got, _ = strconv.Atoi(f[1])
		}
	}
	if err != nil || got != want {
		t.Errorf("%d packets are counted as cut, want %d: %v\n%s", got, want, err, out)
	}
}

// TestAFullRingIsCountedAndTheSensorGoesOn pauses the sensor while more packets arrive than
// the ring holds. The closing log counts exactly the lost packets, and later packets are not
// lost.
func TestAFullRingIsCountedAndTheSensorGoesOn(t *testing.T) {
	t.Parallel()
	const flood, after = 40_000, 100
	n := lab.NewNamespace(t)
	makeLink(t, n, "wire0")
	s := startCapture(t, n, 1, packetSource("  ring = \"2MiB\"", "wire0")+keepAddress+fileSink("first", "dnsqr")+"admin {}\n")
	file := func(name string, first, count int) string {
		path := filepath.Join(n.Dir, name)
		writeFrames(t, path, exchanges(t, first, count))
		return path
	}
	s.Signal(t, syscall.SIGSTOP)
	awaitReplays(t, startReplay(t, n, "tcpreplay", "wire0-in", fast, file("flood.pcap", 0, flood/2)))
	s.Signal(t, syscall.SIGCONT)
	awaitEmptyRing(t, s)
	awaitReplays(t, startReplay(t, n, "tcpreplay", "wire0-in", fast, file("after.pcap", flood, after)))
	s.stop(t)

	packets := s.packets(t)
	if sent := uint64(flood + 2*after); packets.dropped == 0 || packets.received+packets.dropped != sent {
		t.Errorf("%d packets were sent; the log has %d received and %d dropped", sent, packets.received, packets.dropped)
	}
	names := map[string]int{}
	out := s.written(t, "first")
	for _, r := range out.records {
		names[r.Name]++
	}
	for i := flood; i < flood+after; i++ {
		if names[flowName(int64(i))] != 1 {
			t.Errorf("%d records of %s", names[flowName(int64(i))], flowName(int64(i)))
		}
	}
	t.Logf("%d packets received, %d dropped, %d records", packets.received, packets.dropped, len(out.records))
}

// exchanges returns queries and their responses, as frames.
func exchanges(t *testing.T, first, count int) (frames [][]byte) {
	t.Helper()
	resolver, server := netip.MustParseAddr(lab.Resolver4), server4
	for i := first; i < first+count; i++ {
		m := new(dns.Msg).SetQuestion(flowName(int64(i)), dns.TypeTXT)
		m.RecursionDesired, m.Id = false, uint16(i)
		for _, response := range []bool{false, true} {
			m.Response = response
			wire, err := m.Pack()
			if err != nil {
				t.Fatal(err)
			}
			from, to, src, dst := uint16(1024+i%60000), uint16(dnsPort), resolver, server
			if response {
				from, to, src, dst = to, from, dst, src
			}
			frames = append(frames, ether(station, userDatagram(src, dst, from, to, 8+len(wire), wire)))
		}
	}
	return frames
}

var captureCounter = regexp.MustCompile(`(?m)^dnstap_pdns_capture_(packets|received_packets)_total\{[^}]*\} (\d+)$`)

// awaitEmptyRing returns when the sensor has read every packet that the kernel put into the ring.
func awaitEmptyRing(t *testing.T, s *sensor) {
	t.Helper()
	await(t, "the sensor to have read the ring", func() bool {
		counts := map[string]string{}
		for _, m := range captureCounter.FindAllStringSubmatch(string(s.get(t, "/metrics")), -1) {
			counts[m[1]] = m[2]
		}
		read := counts["packets"]
		return read != "" && read != "0" && read == counts["received_packets"]
	})
}
