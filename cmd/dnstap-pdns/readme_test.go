package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"gotest.tools/v3/golden"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/admin"
	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/sensor"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/packet"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/ring"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

const readme = "../../README.md"

// TestReadmeTablesMatchTheCode compares the tables of the README with the tables in code.
func TestReadmeTablesMatchTheCode(t *testing.T) {
	got := read(t, readme)
	want := got
	for name, table := range map[string]string{
		"reasons":   rowTable("| reason | the message |", new(transform.Counts).Account().Lost.Rows),
		"rules":     ruleTable(),
		"losses":    rowTable("| loss | the record |", new(forward.SinkLedger).Account().Lost.Rows),
		"packets":   rowTable("| count | counts |", new(packet.Stats).Rows()),
		"metrics":   metricTable(t),
		"remedies":  read(t, "../../collector/testdata/remedies.md"),
		"reference": read(t, "../../conf/testdata/reference.md"),
	} {
		want = replaceTable(t, want, name, table)
	}
	if golden.FlagUpdate() {
		if err := os.WriteFile(readme, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("README.md differs from the code (-want +got); go test -p 1 ./conf ./collector ./cmd/dnstap-pdns -update writes it:\n%s", diff)
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

func TestReadmeConfigurationsAreValid(t *testing.T) {
	raw := read(t, readme)
	blocks := regexp.MustCompile("(?ms)^( *)```hcl\n(.*?)^ *```").FindAllStringSubmatch(raw, -1)
	for _, b := range blocks {
		f, diags := conf.Parse("README.md", []byte(b[2]))
		if diags.HasErrors() {
			var errs strings.Builder
			if err := conf.WriteDiagnostics(&errs, f, diags); err != nil {
				t.Fatal(err)
			}
			t.Errorf("%s\n%s", b[2], &errs)
		}
	}
	if len(blocks) < 7 {
		t.Errorf("only %d blocks found", len(blocks))
	}
}

// TestReadmeShowsTheReportOfExplain: the lines of the report in the README are lines of the golden
// file of a report, in the same order. Three dots mean omitted lines.
func TestReadmeShowsTheReportOfExplain(t *testing.T) {
	raw := read(t, readme)
	report := read(t, "testdata/explain/unbound.txt")
	_, section, _ := strings.Cut(raw, "<!-- explain -->\n")
	shown, _, ok := strings.Cut(section, "<!-- /explain -->")
	if !ok {
		t.Fatal("README.md shows no report")
	}
	rest, gap := report, true
	for line := range strings.Lines(shown) {
		line = strings.TrimPrefix(line, "    ")
		if line == "...\n" {
			gap = true
			continue
		}
		before, after, found := strings.Cut("\n"+rest, "\n"+line)
		if !found || !gap && before != "" {
			t.Fatalf("the report does not have this line here: %s", line)
		}
		rest, gap = after, false
	}
}

func replaceTable(t *testing.T, text, name, table string) string {
	t.Helper()
	begin, end := "<!-- "+name+" -->\n", "<!-- /"+name+" -->"
	before, rest, ok := strings.Cut(text, begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("README.md has no table %q", name)
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
		if r.Forbids() != transform.Kept {
			reason = "`" + r.Forbids().String() + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", rows[i].Name, cell(rows[i].Meaning), reason)
	}
	return b.String()
}

// metricTable returns the table of the metrics of a sensor that has one of every kind.
func metricTable(t *testing.T) string {
	t.Helper()
	state := sensor.State{
		Ledger:  forward.Ledger{Sources: []forward.SourceLedger{{Name: "d"}, {Name: "p"}}, Sinks: []forward.SinkLedger{{Name: "s"}}},
		Dnstap:  []sensor.DnstapState{{Name: "d", TLS: true}},
		Packets: []sensor.PacketStats{{Name: "p", Stats: pcap.Stats{Rings: ring.Stats{Interfaces: []ring.InterfaceStats{{Name: "i"}}}}}},
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(admin.NewCollector(&admin.View{
		State:  func() sensor.State { return state },
		Reload: func() admin.Reload { return admin.Reload{} },
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

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
