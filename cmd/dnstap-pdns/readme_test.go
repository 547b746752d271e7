package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gotest.tools/v3/golden"

	"github.com/dnstap-pdns/dnstap-pdns/collector"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

const readme = "../../README.md"

// TestReadmeTablesAreTheCodes holds the README's tables to the tables in code.
func TestReadmeTablesAreTheCodes(t *testing.T) {
	raw, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	got := string(raw)
	want := got
	for name, table := range map[string]string{
		"reasons":   reasonTable(),
		"losses":    lossTable(),
		"remedies":  remedyTable(),
		"reference": referenceTable(),
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
		t.Errorf("README.md differs from the code (-want +got); go test ./cmd/dnstap-pdns -update writes it:\n%s", diff)
	}
}

func TestReadmeConfigurationsAreTaken(t *testing.T) {
	raw, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^( *)```hcl\n(.*?)^ *```").FindAllStringSubmatch(string(raw), -1)
	for _, b := range blocks {
		f, diags := conf.Parse("README.md", []byte(b[2]))
		if diags.HasErrors() {
			var said strings.Builder
			if err := conf.WriteDiagnostics(&said, f, diags); err != nil {
				t.Fatal(err)
			}
			t.Errorf("%s\n%s", b[2], &said)
		}
	}
	if len(blocks) < 7 {
		t.Errorf("only %d blocks found", len(blocks))
	}
}

// TestReadmeShowsWhatExplainSays: each line of the README's report is one of the report
// that a test holds to the code, in its order; where three dots stand some are left out.
func TestReadmeShowsWhatExplainSays(t *testing.T) {
	raw, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	report, err := os.ReadFile("testdata/explain/unbound.txt")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(raw), "<!-- explain -->\n")
	shown, _, ok := strings.Cut(rest, "<!-- /explain -->")
	if !ok {
		t.Fatal("README.md shows no report")
	}
	left, gap := string(report), true
	for line := range strings.Lines(shown) {
		line = strings.TrimPrefix(line, "    ")
		if line == "...\n" {
			gap = true
			continue
		}
		before, after, found := strings.Cut("\n"+left, "\n"+line)
		if !found || !gap && before != "" {
			t.Fatalf("the report does not say there: %s", line)
		}
		left, gap = after, false
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

func reasonTable() string {
	var b strings.Builder
	b.WriteString("| reason | the message |\n|---|---|\n")
	for _, r := range transform.Reasons() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", r, cell(r.Meaning()))
	}
	return b.String()
}

func lossTable() string {
	var b strings.Builder
	b.WriteString("| loss | the record |\n|---|---|\n")
	for _, l := range forward.Losses() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", l, cell(l.Meaning()))
	}
	return b.String()
}

func remedyTable() string {
	var b strings.Builder
	b.WriteString("| at the other end | remedy |\n|---|---|\n")
	for _, r := range collector.Remedies() {
		fmt.Fprintf(&b, "| %s | %s |\n", r.Sender, cell(r.Advice))
	}
	return b.String()
}

func referenceTable() string {
	var b strings.Builder
	b.WriteString("| block | attribute | default | takes | meaning |\n|---|---|---|---|---|\n")
	for _, r := range conf.Reference() {
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s | %s |\n", r.Block, r.Attribute, cell(r.Default), cell(r.Takes), cell(r.Meaning))
	}
	return b.String()
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
