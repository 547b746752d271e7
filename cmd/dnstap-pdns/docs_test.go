package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"gotest.tools/v3/golden"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/admin"
	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/sensor"
	"github.com/dnstap-pdns/dnstap-pdns/collector/kafka"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/packet"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/ring"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// root is the folder of README.md and docs.
const root = "../../"

// TestTablesOfTheDocumentationEqualTheCode compares the tables in the documentation with the
// rows and tables in the code that they are made from.
func TestTablesOfTheDocumentationEqualTheCode(t *testing.T) {
	for name, tables := range map[string]map[string]string{
		"README.md": {
			"selftest": selftestOutput(t),
		},
		"docs/resolvers.md": {
			"remedies": read(t, "../../collector/testdata/remedies.md"),
		},
		"docs/packets.md": {
			"packets": rowTable("| count | counts |", new(packet.Stats).Rows()),
		},
		"docs/privacy.md": {
			"reasons": rowTable("| reason | the message |", new(transform.Counts).Account().Lost.Rows),
			"rules":   ruleTable(),
		},
		"docs/operating.md": {
			"losses":  rowTable("| loss | the record |", new(forward.SinkLedger).Account().Lost.Rows),
			"metrics": metricTable(t),
			"kafka":   rowTable("| count | counts |", new(kafka.Stats).Rows()),
			"octets":  octetTable(t),
		},
		"docs/configuration.md": {
			"reference": read(t, "../../conf/testdata/reference.md"),
		},
	} {
		got := read(t, root+name)
		want := got
		for marker, table := range tables {
			want = replaceTable(t, name, want, marker, table)
		}
		if golden.FlagUpdate() {
			if err := os.WriteFile(root+name, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s differs from the code (-want +got); go test -p 1 ./conf ./collector ./cmd/dnstap-pdns -update writes it:\n%s", name, diff)
		}
	}
}

// TestWarningsAreDocumented searches docs/configuration.md for a row of each warning.
func TestWarningsAreDocumented(t *testing.T) {
	page := read(t, root+"docs/configuration.md")
	for _, name := range conf.WarningNames() {
		if !strings.Contains(page, "\n| `"+name+"` | ") {
			t.Errorf("docs/configuration.md has no row for %s", name)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestConfigurationsInTheDocumentationAreValid parses every configuration that README.md and
// docs show.
func TestConfigurationsInTheDocumentationAreValid(t *testing.T) {
	credentials := t.TempDir()
	for name, text := range map[string]string{"sensor.key": "key.pem", "sie-key": "0123456789", "kafka-password": "0123456789"} {
		if err := os.WriteFile(filepath.Join(credentials, name), []byte(text), 0o400); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("CREDENTIALS_DIRECTORY", credentials)
	names, err := filepath.Glob(root + "docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, name := range append(names, root+"README.md") {
		blocks := regexp.MustCompile("(?ms)^( *)```hcl\n(.*?)^ *```").FindAllStringSubmatch(read(t, name), -1)
		for _, b := range blocks {
			f, diags := conf.Parse(filepath.Base(name), []byte(b[2]))
			if diags.HasErrors() {
				var said strings.Builder
				if err := conf.WriteDiagnostics(&said, f, diags); err != nil {
					t.Fatal(err)
				}
				t.Errorf("%s\n%s", b[2], &said)
			}
		}
		found += len(blocks)
	}
	if found < 7 {
		t.Errorf("only %d blocks found", found)
	}
}

// TestDocumentationShowsWhatExplainPrints compares the reports in the documentation with the
// golden report. The lines and their order are the same; three dots replace lines.
func TestDocumentationShowsWhatExplainPrints(t *testing.T) {
	report := read(t, "testdata/explain/unbound.txt")
	for _, name := range []string{"README.md", "docs/privacy.md"} {
		_, rest, _ := strings.Cut(read(t, root+name), "<!-- explain -->\n")
		shown, _, ok := strings.Cut(rest, "<!-- /explain -->")
		if !ok {
			t.Fatalf("%s shows no report", name)
		}
		left, gap := report, true
		for line := range strings.Lines(shown) {
			line = strings.TrimPrefix(line, "    ")
			if line == "...\n" {
				gap = true
				continue
			}
			before, after, found := strings.Cut("\n"+left, "\n"+line)
			if !found || !gap && before != "" {
				t.Fatalf("%s: the report does not have there: %s", name, line)
			}
			left, gap = after, false
		}
	}
}

// selftestOutput returns two of the cases in testdata/selftest.txt as indented code.
func selftestOutput(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, name := range []string{"passed", "clients only"} {
		_, rest, ok := strings.Cut(read(t, "testdata/selftest.txt"), "== "+name+"\n\n")
		if !ok {
			t.Fatalf("testdata/selftest.txt has no case %q", name)
		}
		output, _, _ := strings.Cut(rest, "\n== ")
		b.WriteString("    $ dnstap-pdns selftest\n")
		for line := range strings.Lines(output) {
			if line != "\n" {
				b.WriteString("    " + line)
			}
		}
	}
	return b.String()
}

// replaceTable returns the text of a file with another table between the markers.
func replaceTable(t *testing.T, file, text, marker, table string) string {
	t.Helper()
	begin, end := "<!-- "+marker+" -->\n", "<!-- /"+marker+" -->"
	before, rest, ok := strings.Cut(text, begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no table %q", file, marker)
	}
	return before + begin + table + end + after
}

func rowTable(heading string, rows []transform.Row) string {
	var b strings.Builder
	b.WriteString(heading + "\n|---|---|\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| `%s` | %s |\n", r.Name, cell(r.Meaning))
	}
	return b.String()
}

func ruleTable() string {
	var b strings.Builder
	b.WriteString("| rule | what it does, or forbids | reason |\n|---|---|---|\n")
	rows := new(transform.Counts).Scrubbing().Rows
	for i, r := range transform.Rules() {
		reason := ""
		if r.ForbidsAs() != transform.Kept {
			reason = "`" + r.ForbidsAs().String() + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", rows[i].Name, cell(rows[i].Meaning), reason)
	}
	return b.String()
}

// metricTable is made from a scrape of a sensor with one of everything.
func metricTable(t *testing.T) string {
	t.Helper()
	state := sensor.State{
		Ledger: forward.Ledger{Sources: []forward.SourceLedger{{Name: "d"}, {Name: "p"}, {Name: "k"}},
			Sinks: []forward.SinkLedger{{Name: "s", Spool: &forward.SpoolState{}, Peer: &forward.Acknowledgement{}, Buffered: &forward.Buffered{}, RRsets: &forward.RRsets{}, Expires: time.Unix(1, 0)}}},
		Dnstap:  []sensor.DnstapState{{Name: "d", TLS: true}},
		Kafka:   []sensor.KafkaStats{{Name: "k"}},
		Packets: []sensor.PacketStats{{Name: "p", Stats: pcap.Stats{Rings: ring.Stats{Interfaces: []ring.InterfaceStats{{Name: "i"}}}}}},
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(admin.NewCollector(&admin.View{
		Warnings: func() []conf.Warning { return nil },
		State:    func() sensor.State { return state },
		Reload:   func() admin.Reload { return admin.Reload{} },
	}))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("| metric | labels | kind | meaning |\n|---|---|---|---|\n")
	for _, f := range families {
		var labels []string
		for _, l := range f.Metric[0].Label {
			labels = append(labels, l.GetName())
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.GetName(), strings.Join(labels, ", "), strings.ToLower(f.GetType().String()), cell(f.GetHelp()))
	}
	return b.String()
}

// octetTable has the size of a record by message type, in files that replay makes of captures.
func octetTable(t *testing.T) string {
	t.Helper()
	types := nmsg.MessageTypes()
	heading, rule := "| capture | records |", "|---|---|"
	for _, m := range types {
		heading += " " + m.String() + " |"
		rule += "---|"
	}
	var b strings.Builder
	b.WriteString(heading + "\n" + rule + "\n")
	for _, capture := range []string{"unbound", "unbound-2", "bind-2", "pdns-2"} {
		var sizes strings.Builder
		var records int64
		for _, m := range types {
			path := filepath.Join(t.TempDir(), "records")
			var errs strings.Builder
			args := []string{"replay", "--message", m.String(), "--to", path, root + "transform/testdata/captures/" + capture + ".fstrm"}
			if code := realMain(args, stdio{out: io.Discard, err: &errs}); code != exitDone {
				t.Fatalf("%q: exit %d: %s", args, code, &errs)
			}
			counted := regexp.MustCompile(`(?m)^ *records +([0-9]+)`).FindStringSubmatch(errs.String())
			info, err := os.Stat(path)
			if counted == nil || err != nil {
				t.Fatalf("%v: %s", err, &errs)
			}
			records, _ = strconv.ParseInt(counted[1], 10, 64)
			fmt.Fprintf(&sizes, " %d |", (info.Size()+records/2)/records)
		}
		fmt.Fprintf(&b, "| %s.fstrm | %d |%s\n", capture, records, &sizes)
	}
	return b.String()
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
