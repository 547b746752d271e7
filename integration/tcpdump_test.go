package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

// dump is a running tcpdump.
type dump struct {
	*lab.Process
	file string
}

// startDump starts tcpdump on an interface and returns when it listens.
func startDump(t *testing.T, n *lab.Namespace, at, file string, options ...string) dump {
	t.Helper()
	lab.RequirePrograms(t, "tcpdump")
	args := append([]string{"-i", at, "-w", file, "-U", "--immediate-mode", "-B", "65536", "-s", "2000", "-Z", "root"}, options...)
	d := dump{n.Start(t, "tcpdump", exec.Command("tcpdump", args...)), file}
	d.listens(t)
	return d
}

func (d dump) listens(t *testing.T) {
	t.Helper()
	await(t, "tcpdump to listen", func() bool { return strings.Contains(d.Log(t), "listening on") || d.Ended() })
}

// stop stops tcpdump after it has written every packet that the kernel received for it. It
// fails if the kernel dropped packets.
func (d dump) stop(t *testing.T) {
	t.Helper()
	var captured, received int
	await(t, "tcpdump to have written all", func() bool {
		d.Signal(t, syscall.SIGUSR1) // prints the counters
		all := progress.FindAllStringSubmatch(d.Log(t), -1)
		if len(all) == 0 {
			return false
		}
		captured, _ = strconv.Atoi(all[len(all)-1][1])
		received, _ = strconv.Atoi(all[len(all)-1][2])
		return captured == received && captured > 0
	})
	d.Signal(t, syscall.SIGINT)
	if err := d.Wait(waitTime); err != nil {
		t.Error(err)
	}
	if !strings.Contains(d.Log(t), "\n0 packets dropped by kernel") {
		t.Errorf("tcpdump dropped packets: %s", d.Log(t))
	}
}

// progress matches tcpdump's counters.
var progress = regexp.MustCompile(`(\d+) packets captured, (\d+) packets received by filter`)

// count returns the number of packets that match a tcpdump expression.
func (d dump) count(t *testing.T, format string, args ...any) uint64 {
	t.Helper()
	out, err := exec.Command("tcpdump", "-n", "-r", d.file, fmt.Sprintf(format, args...)).Output()
	if err != nil {
		t.Fatal(err)
	}
	return uint64(strings.Count(string(out), "\n"))
}

// TestTcpdumpSeesWhatTheSensorSees has tcpdump write what the sensor captures, in each of its
// formats and through a pipe. Replayed files yield the sensor's records, and the sensor has
// read as many packets as match a tcpdump filter. If two processors receive from one interface,
// tcpdump may write a response before its query; the live sensor orders packets by time.
func TestTcpdumpSeesWhatTheSensorSees(t *testing.T) {
	t.Parallel()
	w := lab.NewWorld(t)
	port := w.SpanPort(t, lab.SpanOptions{})
	on := port.Interfaces[0]
	s := startCapture(t, port.Namespace, 1, packetSource("", on)+keepAddress+fileSink("first", "dnsqr"))
	in := func(name string) string { return filepath.Join(s.dir, name) }
	micro := startDump(t, port.Namespace, on, in("micro.pcap"))
	nano := startDump(t, port.Namespace, on, in("nano.pcap"), "--time-stamp-precision=nano")
	cooked := startDump(t, port.Namespace, "any", in("cooked.pcap"))
	oldCooked := startDump(t, port.Namespace, "any", in("cooked1.pcap"), "-y", "LINUX_SLL")
	piped, replaying := startPipe(t, port.Namespace, on, s, in("piped.nmsg"))

	resolver := w.Unbound(t, lab.Options{Span: port})
	w.Ask(t, resolver, lab.Questions())
	resolver.StopNow(t)
	port.Cut(t)
	for _, d := range []dump{micro, nano, cooked, oldCooked, piped} {
		d.stop(t)
	}
	if err := replaying.Wait(waitTime); err != nil {
		t.Errorf("replay from a pipe: %v", err)
	}
	closing := s.stop(t)

	live := s.written(t, "first")
	checkZones(t, w.Zones, live)
	checkExpected(t, w.Zones, live, lab.Questions())
	for _, d := range []dump{micro, nano, cooked, oldCooked} {
		t.Log(filepath.Base(d.file))
		checkSame(t, live, s.replayed(t, d.file))
	}
	t.Log("pcapng")
	checkSame(t, live, s.replayed(t, toPcapng(t, micro.file)))
	t.Log("a pipe")
	fromPipe, err := os.ReadFile(in("piped.nmsg"))
	if err != nil {
		t.Fatal(err)
	}
	checkSame(t, live, readOutput(t, fromPipe))
	checkCounts(t, micro, closing, s.packets(t))
}

// documentedFilter matches the filter for tcpdump in the documentation.
var documentedFilter = regexp.MustCompile(`(?m)^ +tcpdump -i eth0 -w - '([^']+)' \|$`)

// TestTheDocumentedFilterPassesWhatTheSensorReads: tcpdump passes every packet of captures of
// DNS messages, with and without VLAN tags.
func TestTheDocumentedFilterPassesWhatTheSensorReads(t *testing.T) {
	t.Parallel()
	lab.RequirePrograms(t, "tcpdump")
	page, err := os.ReadFile("../docs/packets.md")
	if err != nil {
		t.Fatal(err)
	}
	found := documentedFilter.FindSubmatch(page)
	if found == nil {
		t.Fatal("docs/packets.md has no filter for tcpdump")
	}
	dir := t.TempDir()
	for _, name := range []string{"answer-before-query.pcap", "qinq.pcap", "tcp-query-hole.pcap", "tagged.pcap"} {
		file := "../fallback/pcap/testdata/" + name
		if name == "tagged.pcap" {
			file = rewrite(t, dir, "../fallback/pcap/testdata/tcp-query-hole.pcap", inTag(5))
		}
		passed := filepath.Join(dir, "passed.pcap")
		out, err := exec.Command("tcpdump", "-r", file, "-w", passed, string(found[1])).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		want, _ := packetsOf(t, file)
		if got, _ := packetsOf(t, passed); len(got) != len(want) {
			t.Errorf("%s: %d of %d packets pass", name, len(got), len(want))
		}
	}
}

// startPipe starts tcpdump and the replay command, which reads its output through a pipe.
func startPipe(t *testing.T, n *lab.Namespace, at string, s *sensor, output string) (writing dump, replaying *lab.Process) {
	t.Helper()
	fifo, tee := filepath.Join(s.dir, "fifo"), filepath.Join(s.dir, "tee")
	for _, path := range []string{fifo, tee} {
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	replay := fmt.Sprintf("exec %s replay -c %s --to stdout: - < %s > %s", sensorBinary, s.config, fifo, output)
	replaying = n.Start(t, "replay", exec.Command("sh", "-c", replay))
	written := filepath.Join(s.dir, "piped.pcap")
	n.Start(t, "tee", exec.Command("sh", "-c", fmt.Sprintf("exec tee %s < %s > %s", written, tee, fifo)))
	tcpdump := fmt.Sprintf("exec tcpdump -i %s -U --immediate-mode -B 65536 -s 2000 -Z root -w - > %s", at, tee)
	writing = dump{n.Start(t, "tcpdump", exec.Command("sh", "-c", tcpdump)), written}
	writing.listens(t)
	return writing, replaying
}

// toPcapng converts a capture file to pcapng and returns the new path.
func toPcapng(t *testing.T, file string) string {
	t.Helper()
	packets, infos := packetsOf(t, file)
	path := file + "ng"
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w, err := pcapgo.NewNgWriter(f, layers.LinkTypeEthernet)
	if err != nil {
		t.Fatal(err)
	}
	for i := range packets {
		if err := w.WritePacket(infos[i], packets[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return path
}

// checkCounts compares what the sensor read with what tcpdump finds of the resolver's own
// traffic. Over UDP each datagram is a message, because none is fragmented.
func checkCounts(t *testing.T, d dump, closing ledger, packets packetCounts) {
	t.Helper()
	packets.checkWhole(t)
	var overUDP, overTCP uint64
	for _, a := range []string{lab.Resolver4, lab.Resolver6} {
		const outward = "(src host %s and dst port 53) or (dst host %[1]s and src port 53)"
		overUDP += d.count(t, "udp and ("+outward+")", a)
		overTCP += d.count(t, "tcp and ("+outward+")", a)
	}
	streamed := packets.counts["tcp_messages"]
	if overUDP == 0 || closing.Read != overUDP+streamed {
		t.Errorf("read %d messages, %d of them over TCP; tcpdump finds %d over UDP", closing.Read, streamed, overUDP)
	}
	if overTCP == 0 || packets.counts["packets"] != overUDP+overTCP {
		t.Errorf("captured %d packets; tcpdump finds %d and %d", packets.counts["packets"], overUDP, overTCP)
	}
}
