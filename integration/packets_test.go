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

// packetSource is the block of a source that captures there always, with further
// attributes.
func packetSource(attributes string, interfaces ...string) string {
	return packetSourceOf(lab.Resolver4+","+lab.Resolver6, attributes, interfaces...)
}

// packetSourceOf does the same for resolvers of other addresses, in a list that
// replay takes too.
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

// startCapture starts a sensor with one packet source and returns once that captures, on
// so many sockets: one for each interface and lane.
func startCapture(t *testing.T, n *lab.Namespace, sockets int, config string) *sensor {
	t.Helper()
	s := startSensor(t, n, config)
	awaitCapture(t, n, sockets)
	return s
}

// awaitCapture returns once so many sockets of captures are at work in the namespace:
// the sensor does not tell of each.
func awaitCapture(t *testing.T, n *lab.Namespace, sockets int) {
	t.Helper()
	await(t, fmt.Sprint(sockets, " sockets that capture"), func() bool { return capturing(t, n) == sockets })
}

// capturing counts the sockets of captures at work (packet(7)).
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

// packetBooks is what a packet source counted, as the closing log has it.
type packetBooks struct {
	counts   map[string]uint64 // by name; what is zero is not there
	received uint64            // by the kernel, for the source
	dropped  uint64            // of what came to the kernel: there was no room
}

// packets reads the line about the sensor's one packet source.
func (s *sensor) packets(t *testing.T) packetBooks {
	t.Helper()
	lines := s.logged(t, "packets")
	if len(lines) != 1 {
		t.Fatalf("%d packet sources are in the closing log, want one", len(lines))
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
	b := packetBooks{counts: map[string]uint64{}, received: kernel.Kernel.Received, dropped: kernel.Kernel.Dropped}
	for name, raw := range all {
		var n uint64
		if json.Unmarshal(raw, &n) == nil {
			b.counts[name] = n
		}
	}
	if b.received < b.counts["packets"] || kernel.Kernel.Damaged > 0 { // it goes on receiving for a moment after the end
		t.Errorf("the kernel has %d packets in the rings, %d were read, %d are damaged", b.received, b.counts["packets"], kernel.Kernel.Damaged)
	}
	return b
}

// checkWhole holds a source to having missed nothing, of traffic without a fault.
func (b packetBooks) checkWhole(t *testing.T) {
	t.Helper()
	b.checkNoDrops(t)
	for _, name := range []string{"cut", "unknown_link", "too_deep", "fragments_malformed", "overlapping", "fragments_evicted", "tcp_gaps", "tcp_broken", "tcp_evicted"} {
		if b.counts[name] > 0 {
			t.Errorf("%s: %d", name, b.counts[name])
		}
	}
}

func (b packetBooks) checkNoDrops(t *testing.T) {
	t.Helper()
	if b.dropped > 0 {
		t.Errorf("the kernel dropped %d packets", b.dropped)
	}
}

// timeless is what records say, those with IDs kept as they are, but for zone and time.
func timeless(o output) map[string]int {
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

// about counts what records are about.
func about(o output) map[string]int {
	all := map[string]int{}
	for _, r := range o.records {
		all[keyOf(r).String()]++
	}
	return all
}

// checkSame holds two outputs to the same records, times aside.
func checkSame(t *testing.T, want, got output) {
	t.Helper()
	balance := timeless(got)
	for record, n := range timeless(want) {
		balance[record] -= n
	}
	const shown = 10
	differ := 0
	for record, n := range balance {
		if n == 0 {
			continue
		}
		if differ++; differ <= shown {
			t.Errorf("%+d of the records wanted: %s", n, record)
		}
	}
	if differ > shown {
		t.Errorf("%d records differ in all; %d were wanted, there are %d", differ, len(want.records), len(got.records))
	}
	if len(want.records) == 0 {
		t.Error("there are no records: the test tests nothing")
	}
}

// checkNoneTwice holds records with their IDs kept to one of each exchange.
func checkNoneTwice(t *testing.T, o output) {
	t.Helper()
	for record, n := range timeless(o) {
		if n > 1 {
			t.Errorf("%d times: %s", n, record)
		}
	}
}

// Knot Resolver says nothing outward over dnstap. The main job is done from its packets
// alone, on a span port: its own questions to servers and no client's.
func TestPacketsOfKnotResolverGiveRecordsAsTheZonesHaveThem(t *testing.T) {
	t.Parallel()
	w := lab.NewWorld(t)
	port := w.SpanPort(t, lab.SpanOptions{})
	s := startCapture(t, port.Namespace, 1, packetSource("  promiscuous = true", port.Interfaces...)+site+fileSink("first", "dnsqr"))
	knot := w.Knot(t, lab.Options{Span: port})
	w.Ask(t, knot, lab.Questions())
	knot.Quit(t)
	books := s.stop(t)

	checkMainJob(t, w, s, books)
	counts := s.packets(t)
	counts.checkWhole(t)
	if counts.counts["tcp_messages"] == 0 {
		t.Error("nothing came over TCP")
	}
	for _, reason := range []string{"duplicate", "unsolicited", "mismatched"} {
		if n := books.Dropped[reason]; n > 0 {
			t.Errorf("%d dropped as %s", n, reason)
		}
	}
	t.Logf("%+v %+v", books.account, counts)
}

// A sensor on the resolver's own host sees its packets on loopback, leaving and
// arriving, and, where a bridge or a mirror copies them, on any interface again. Each
// exchange leaves once.
func TestOnTheResolversHostEachRecordLeavesOnce(t *testing.T) {
	t.Parallel()
	w := lab.NewWorld(t)
	plug(t, w.Namespace, "copy0") // each end of which shows what the other sends
	w.Copy(t, "lo", "egress", "copy0")
	loopback := startCapture(t, w.Namespace, 1, packetSource("", "lo")+site+fileSink("first", "dnsqr"))
	all := startCapture(t, w.Namespace, 2, packetSource("", "any")+kept+fileSink("first", "dnsqr"))
	resolver := w.Unbound(t, lab.Options{})
	w.Ask(t, resolver, lab.Questions())
	resolver.Quit(t)
	books, booksOfAll := loopback.stop(t), all.stop(t)

	checkMainJob(t, w, loopback, books)
	if n := books.Dropped["duplicate"]; n > 0 {
		t.Errorf("%d duplicates on loopback, where what leaves is not looked at", n)
	}
	ofAll := all.written(t, "first")
	checkNoneTwice(t, ofAll)
	if d := cmp.Diff(about(loopback.written(t, "first")), about(ofAll)); d != "" {
		t.Errorf("records (-loopback +all interfaces):\n%s", d)
	}
	if n := booksOfAll.Dropped["duplicate"]; n < booksOfAll.Records || n+booksOfAll.Records > booksOfAll.Read {
		t.Errorf("%d duplicates beside %d records: the copies are not there", n, booksOfAll.Records)
	}
	loopback.packets(t).checkWhole(t)
	t.Logf("%+v\n%+v", books.account, booksOfAll.account)
}
