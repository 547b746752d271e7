package startcheck

import (
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dnstap-pdns/dnstap-pdns/conf"
)

const capture = "source \"pcap\" \"p\" {\n  interface = \"lo\"\n  resolvers = [\"192.0.2.53\"]\n  lanes = 2\n  ring = \"1GiB\"\n}\n"

// mibOf returns the parts in MiB.
func mibOf(f *conf.File) map[string]int64 {
	all := map[string]int64{}
	for _, p := range parts(&f.Config) {
		all[p.what] = mib(p.bytes)
	}
	return all
}

func TestPartsOfTheMemory(t *testing.T) {
	t.Setenv("PDNS_TEST_KEY", "key")
	for name, tt := range map[string]struct {
		src  string
		want map[string]int64
	}{
		"the default": {unixSource("/x") + stdout, map[string]int64{
			"connections and their frames": 40, "the pairing table": 27, "the queues of sinks": 22, "everything else": 36}},
		"two sinks, one of files": {unixSource("/x") + stdout + fileSink("/x"), map[string]int64{
			"connections and their frames": 47, "the pairing table": 27, "the queues of sinks": 43, "files being written": 4, "everything else": 36}},
		"a submission": {unixSource("/x") + submission(""), map[string]int64{
			"connections and their frames": 40, "the pairing table": 27, "the queues of sinks": 26, "everything else": 36}},
		"a submission with a spool": {unixSource("/x") + submission(spoolIn("/x", "")), map[string]int64{
			"connections and their frames": 40, "the pairing table": 27, "the queues of sinks": 31, "files being written": 4, "everything else": 36}},
		"Kafka": {unixSource("/x") + kafkaSink("localhost", ""), map[string]int64{
			"connections and their frames": 40, "the pairing table": 27, "the queues of sinks": 31, "everything else": 36}},
		"Kafka with a spool": {unixSource("/x") + kafkaSink("localhost", spoolIn("/x", "")), map[string]int64{
			"connections and their frames": 40, "the pairing table": 27, "the queues of sinks": 40, "files being written": 4, "everything else": 36}},
		"a collection": {kafkaSource("localhost", "") + stdout, map[string]int64{
			"what Kafka sources have fetched": 73, "the pairing table": 27, "the queues of sinks": 22, "everything else": 36}},
		"RRsets": {unixSource("/x") + "aggregate \"a\" {\n  max_bytes = \"100MiB\"\n}\n" + strings.Replace(stdout, "}", "  message = \"dnsdedupe\"\n}", 1), map[string]int64{
			"connections and their frames": 40, "the pairing table": 27, "the queues of sinks": 43, "RRsets in windows": 207, "everything else": 36}},
		"packets, without their ring": {capture + stdout, map[string]int64{
			"lanes of packets": 30, "the pairing table": 27, "the queues of sinks": 22, "everything else": 36}},
		"a smaller sensor": {tcpSource("127.0.0.1:6000", "  max_connections = 1\n") + "pairing {\n  max_queries = 1000\n}\n" + strings.Replace(stdout, "}", "  queue = \"1MiB\"\n  zlib = true\n}", 1), map[string]int64{
			"connections and their frames": 1, "the pairing table": 1, "the queues of sinks": 5, "everything else": 36}},
	} {
		if diff := cmp.Diff(tt.want, mibOf(parse(t, tt.src))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestMemoryIsComparedWithTheLimit(t *testing.T) {
	all := []part{{"a", 30 << 20}, {"b", 10<<20 - 1}}
	for limit, want := range map[int64]string{
		0:          "",
		40 << 20:   "",
		40<<20 - 1: "",
		40<<20 - 2: "the configuration allows 40 MiB of memory, and the limit is 39 MiB: a 30 MiB, b 10 MiB",
		1 << 20:    "the configuration allows 40 MiB of memory, and the limit is 1 MiB: a 30 MiB, b 10 MiB",
	} {
		var c check
		c.fits(all, limit, "the limit", " (here)", "Otherwise.")
		got := ""
		if len(c.warnings) == 1 {
			got = c.warnings[0].Problem
			if want := "Set it to at least 40 MiB (here), or reduce queue, max_bytes, max_connections, max_frame, max_queries or lanes. Otherwise."; c.warnings[0].Advice != want {
				t.Errorf("advice %q, want %q", c.warnings[0].Advice, want)
			}
		}
		if got != want {
			t.Errorf("limit %d: got %q, want %q", limit, got, want)
		}
	}
}

func TestGOMEMLIMITIsALimit(t *testing.T) {
	before := debug.SetMemoryLimit(100 << 20)
	defer debug.SetMemoryLimit(before)
	f := parse(t, unixSource("/x")+stdout)
	for value, want := range map[string]bool{"": false, "100MiB": true} { // the runtime has read it at the start
		t.Setenv("GOMEMLIMIT", value)
		var c check
		c.memory(&f.Config)
		warned := slices.ContainsFunc(c.warnings, func(w conf.Warning) bool { return strings.Contains(w.Problem, ", and GOMEMLIMIT is 100 MiB: ") })
		if warned != want {
			t.Errorf("GOMEMLIMIT=%s: got %q, want a warning of it: %t", value, c.warnings, want)
		}
	}
}

// TestConnectionMemoryIsDocumented with the numbers that tests of package sensor measure.
func TestConnectionMemoryIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../../../docs/resolvers.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		fmt.Sprintf("max_connections x (%d KiB + max_frame + %d KiB for each sink)", ofConnection>>10, ofOpenBatch>>10),
		fmt.Sprintf("TLS adds %d KiB", ofTLS>>10),
	} {
		if !strings.Contains(string(page), want) {
			t.Errorf("docs/resolvers.md lacks %q", want)
		}
	}
}
