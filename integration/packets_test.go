package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

// packetSource is a source that always captures on these interfaces, with further attributes.
func packetSource(attributes string, interfaces ...string) string {
	return packetSourceOf(lab.Resolver4+","+lab.Resolver6, attributes, interfaces...)
}

// packetSourceOf is packetSource for other resolvers. Their list has the form that the replay
// command takes.
func packetSourceOf(resolvers, attributes string, interfaces ...string) string {
	return fmt.Sprintf("\nsource \"pcap\" \"span\" {\n  interfaces = [%s]\n  resolvers = [%s]\n%s\n}\n",
		quoted(interfaces...), quoted(strings.Split(resolvers, ",")...), attributes)
}

func quoted(all ...string) string {
	var list []string
	for _, s := range all {
		list = append(list, fmt.Sprintf("%q", s))
	}
	return strings.Join(list, ", ")
}

// startCapture starts a sensor with one packet source and returns when it captures on that
// many sockets: one for each interface and lane.
func startCapture(t *testing.T, n *lab.Namespace, sockets int, config string) *sensor {
	t.Helper()
	s := startSensor(t, n, config)
	awaitCapture(t, n, sockets)
	return s
}

// awaitCapture returns when that many sockets capture in the namespace; the sensor does not
// log each of them.
func awaitCapture(t *testing.T, n *lab.Namespace, sockets int) {
	t.Helper()
	await(t, fmt.Sprint(sockets, " capturing sockets"), func() bool { return capturing(t, n) == sockets })
}

// capturing returns the number of sockets that capture (packet(7)).
func capturing(t *testing.T, n *lab.Namespace) (count int) {
	t.Helper()
	const kind, protocol, running = 2, 3, 5 // columns
	n.Enter(t, func() {
		table, err := os.ReadFile("/proc/thread-self/net/packet")
		if err != nil {
			t.Error(err)
		}
		for line := range strings.Lines(string(table)) {
			f := strings.Fields(line)
			if len(f) > running && f[kind] == "2" && f[protocol] == "0003" && f[running] == "1" {
				count++
			}
		}
	})
	return count
}

// packetCounts contains the counters of a packet source in the closing log.
type packetCounts struct {
	counts   map[string]uint64 // by name; those that are 0 are absent
	received uint64            // packets that the kernel put into the rings
	dropped  uint64            // packets for which the rings had no room
}

// packets returns the counters of the sensor's only packet source.
func (s *sensor) packets(t *testing.T) packetCounts {
	t.Helper()
	lines := s.logged(t, "packets")
	if len(lines) != 1 {
		t.Fatalf("the closing log has %d packet sources, want 1", len(lines))
	}
	var kernel struct {
		Kernel struct{ Received, Dropped, Damaged uint64 }
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal([]byte(lines[0]), &kernel); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(lines[0]), &all); err != nil {
		t.Fatal(err)
	}
	b := packetCounts{counts: map[string]uint64{}, received: kernel.Kernel.Received, dropped: kernel.Kernel.Dropped}
	for name, raw := range all {
		var n uint64
		if json.Unmarshal(raw, &n) == nil {
			b.counts[name] = n
		}
	}
	if b.received < b.counts["packets"] || kernel.Kernel.Damaged > 0 { // packets still arrive for a moment after the end
		t.Errorf("the kernel has %d packets in the rings, %d were read, %d are damaged", b.received, b.counts["packets"], kernel.Kernel.Damaged)
	}
	return b
}

// checkWhole checks that the source missed nothing of traffic without errors.
func (b packetCounts) checkWhole(t *testing.T) {
	t.Helper()
	b.checkNoDrops(t)
	for _, name := range []string{"cut", "unknown_link", "too_deep", "fragments_malformed", "overlapping", "fragments_evicted", "tcp_gaps", "tcp_broken", "tcp_evicted"} {
		if b.counts[name] > 0 {
			t.Errorf("%s: %d", name, b.counts[name])
		}
	}
}

func (b packetCounts) checkNoDrops(t *testing.T) {
	t.Helper()
	if b.dropped > 0 {
		t.Errorf("the kernel dropped %d packets", b.dropped)
	}
}

// recordCounts counts records by content, except for zone and time. IDs count if they are kept.
func recordCounts(o output) map[string]int {
	all := map[string]int{}
	for _, r := range o.records {
		id := -1
		if r.Packets != nil && !r.Packets.Zeroed {
			id = int(r.ID)
		}
		all[fmt.Sprintf("%v class %d rcode %d ID %d %v", keyOf(r), r.Class, r.Rcode, id, r.Response)]++
	}
	return all
}

// keyCounts counts records by key.
func keyCounts(o output) map[string]int {
	all := map[string]int{}
	for _, r := range o.records {
		all[keyOf(r).String()]++
	}
	return all
}

// checkSame checks that two outputs have the same records, except for times.
func checkSame(t *testing.T, want, got output) {
	t.Helper()
	balance := recordCounts(got)
	for record, n := range recordCounts(want) {
		balance[record] -= n
	}
	const shown = 10
	differ := 0
	for record, n := range balance {
		if n == 0 {
			continue
		}
		if differ++; differ <= shown {
			t.Errorf("%+d of this record: %s", n, record)
		}
	}
	if differ > shown {
		t.Errorf("%d records differ; %d were wanted, there are %d", differ, len(want.records), len(got.records))
	}
	if len(want.records) == 0 {
		t.Error("there are no records: the test checks nothing")
	}
}

// checkNoneTwice checks that records with their IDs kept have no duplicates.
func checkNoneTwice(t *testing.T, o output) {
	t.Helper()
	for record, n := range recordCounts(o) {
		if n > 1 {
			t.Errorf("%d times: %s", n, record)
		}
	}
}

// TestPacketsOfKnotResolverGiveRecordsAsTheZonesHaveThem checks the records of a resolver
// whose dnstap has no resolver messages, from packets on a span port.
func TestPacketsOfKnotResolverGiveRecordsAsTheZonesHaveThem(t *testing.T) {
	t.Parallel()
	w := lab.NewWorld(t)
	port := w.SpanPort(t, lab.SpanOptions{})
	s := startCapture(t, port.Namespace, 1, packetSource("  promiscuous = true", port.Interfaces...)+site+fileSink("first", "dnsqr"))
	knot := w.Knot(t, lab.Options{Span: port})
	w.Ask(t, knot, lab.Questions())
	knot.StopNow(t)
	closing := s.stop(t)

	checkMainJob(t, w, s, closing)
	counts := s.packets(t)
	counts.checkWhole(t)
	if counts.counts["tcp_messages"] == 0 {
		t.Error("no message came over TCP")
	}
	for _, reason := range []string{"duplicate", "unsolicited", "mismatched"} {
		if n := closing.Dropped[reason]; n > 0 {
			t.Errorf("%d dropped as %s", n, reason)
		}
	}
	t.Logf("%+v %+v", closing.account, counts)
}

// TestOnTheResolversHostEachRecordLeavesOnce runs sensors on the resolver's own host, where
// loopback shows packets when they leave and when they arrive, and mirrored copies appear on
// other interfaces. Each exchange has one record.
func TestOnTheResolversHostEachRecordLeavesOnce(t *testing.T) {
	t.Parallel()
	w := lab.NewWorld(t)
	makePair(t, w.Namespace, "copy0") // each interface of the pair shows what the other sends
	w.Mirror(t, "lo", "egress", "copy0")
	loopback := startCapture(t, w.Namespace, 1, packetSource("", "lo")+site+fileSink("first", "dnsqr"))
	all := startCapture(t, w.Namespace, 2, packetSource("", "any")+keepAddress+fileSink("first", "dnsqr"))
	resolver := w.Unbound(t, lab.Options{})
	w.Ask(t, resolver, lab.Questions())
	resolver.StopNow(t)
	closing, closingOfAll := loopback.stop(t), all.stop(t)

	checkMainJob(t, w, loopback, closing)
	if n := closing.Dropped["duplicate"]; n > 0 {
		t.Errorf("%d duplicates on loopback, where outgoing copies are ignored", n)
	}
	ofAll := all.written(t, "first")
	checkNoneTwice(t, ofAll)
	if d := cmp.Diff(keyCounts(loopback.written(t, "first")), keyCounts(ofAll)); d != "" {
		t.Errorf("records (-loopback +all interfaces):\n%s", d)
	}
	if n := closingOfAll.Dropped["duplicate"]; n < closingOfAll.Records || n+closingOfAll.Records > closingOfAll.Read {
		t.Errorf("%d duplicates and %d records: the copies are missing", n, closingOfAll.Records)
	}
	loopback.packets(t).checkWhole(t)
	t.Logf("%+v\n%+v", closing.account, closingOfAll.account)
}
