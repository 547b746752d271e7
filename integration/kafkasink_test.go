package integration

import (
	"fmt"
	"hash/fnv"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
	"github.com/dnstap-pdns/dnstap-pdns/integration/nmsgcheck"
)

// TestKcatReadsWhatTheFilesHave sends the records of a resolver, and their RRsets, to two topics of
// a fake or real broker, and to files. kcat reads the first by partition and as a group.
func TestKcatReadsWhatTheFilesHave(t *testing.T) {
	t.Parallel()
	const partitions = 4
	w := lab.NewWorld(t)
	k := startKafka(t, w.Namespace)
	raw, sets := k.newTopic(t, partitions), k.newTopic(t, partitions)
	s := startSensor(t, w.Namespace, unixSource+exactRoot+fileSink("first", "dnsqr")+fileSink("second", "dnsdedupe")+
		kafkaSink("raw", "dnsqr", k.brokers, raw)+kafkaSink("sets", "dnsdedupe", k.brokers, sets)+"aggregate \"rrsets\" {}\n")
	unbound := w.Unbound(t, lab.Options{Tap: lab.UnixTap(s.tapPath())})
	w.Ask(t, unbound, lab.Questions())
	unbound.Stop(t)
	closing := s.stop(t)

	byPartition := k.readTopic(t, raw, partitions)
	byGroup := k.read(t, "-X", "auto.offset.reset=earliest", "-G", raw+"-group", raw)
	if diff := cmp.Diff(values(byPartition), values(byGroup)); diff != "" {
		t.Errorf("a group reads other messages (-by partition +by group):\n%s", diff)
	}
	if i := slices.IndexFunc(byPartition, func(m kafkaMessage) bool { return m.keyed }); i >= 0 {
		t.Errorf("message %d of raw records has the key %q", i, byPartition[i].key)
	}
	_, records := readGaps(t, oneEach(t, byPartition))
	files := s.written(t, "first")
	checkRecords(t, w.Zones, records)
	checkNothingLeaked(t, records)
	checkExpected(t, w.Zones, records, lab.Questions())
	if diff := cmp.Diff(payloads(files.records), payloads(records.records)); diff != "" {
		t.Errorf("the topic has other records (-file +topic):\n%s", diff)
	}
	n := uint64(len(records.records))
	if d := closing.sinks["raw"]; d.Delivered != n || d.Offered != n {
		t.Errorf("%d records in the topic, the ledger has %+v", n, d)
	}

	var inFiles, inTopic []string
	for _, e := range s.expirations(t) {
		inFiles = append(inFiles, textOf(e))
	}
	for _, m := range k.readTopic(t, sets, partitions) {
		for _, e := range rrsetsIn(t, oneEach(t, []kafkaMessage{m})) {
			inTopic = append(inTopic, textOf(e))
			if want := bucketOf(t, e.Name); m.key != want {
				t.Errorf("%s is in a message with the key %q, want %q", e.Name, m.key, want)
			}
		}
	}
	slices.Sort(inFiles)
	slices.Sort(inTopic)
	if diff := cmp.Diff(inFiles, inTopic); diff != "" || len(inFiles) == 0 {
		t.Errorf("the topic has other RRsets (-file +topic):\n%s", diff)
	}
}

// values returns the values of messages, sorted.
func values(messages []kafkaMessage) (all []string) {
	for _, m := range messages {
		all = append(all, string(m.value))
	}
	slices.Sort(all)
	return all
}

// rrsetsIn returns the payloads of dnsdedupe containers.
func rrsetsIn(t *testing.T, data []byte) (all []nmsgcheck.RRset) {
	t.Helper()
	containers, err := nmsgcheck.Containers(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range containers {
		for _, p := range c.Payloads {
			e, err := nmsgcheck.DecodeRRset(p)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, e)
		}
	}
	return all
}

// textOf returns the content of an RRset.
func textOf(e nmsgcheck.RRset) string {
	return fmt.Sprint(keyOfRRset(e.Bailiwick, e.RRs), " ", e.First, " ", e.Last, " ", e.Count)
}

// bucketOf returns the key of messages with an owner name: its hash modulo 64, as documented.
func bucketOf(t *testing.T, name string) string {
	t.Helper()
	h := fnv.New32a()
	h.Write(append(labels(t, name), 0))
	return fmt.Sprintf("%02d", h.Sum32()%64)
}
