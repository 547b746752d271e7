package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gotest.tools/v3/golden"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// unlisted is the address of a host that sends nothing in the capture.
const unlisted = "198.51.100.200"

func TestReplayNamesTheCausesOfFewRecords(t *testing.T) {
	var errs bytes.Buffer
	std := stdio{out: &bytes.Buffer{}, err: &errs, secrets: new(secrets)}
	if err := replay(t.Context(), []string{"--resolvers", unlisted, "--to", "stdout:", "testdata/unbound.pcap"}, std); err != nil {
		t.Fatal(err)
	}
	golden.Assert(t, errs.String(), "fewrecords-replay.txt")
}

func TestExplainNamesTheCausesOfFewRecords(t *testing.T) {
	report, err := reportOf(t, "--resolvers", unlisted, "testdata/unbound.pcap")
	if err != nil {
		t.Fatal(err)
	}
	_, from, _ := strings.Cut(report, "WHY THERE ARE FEW RECORDS")
	causes, _, _ := strings.Cut(from, "WHAT SCRUBBING CHANGED")
	golden.Assert(t, causes, "fewrecords-explain.txt")
}

// TestDemoNamesTheCausesOfFewRecords shows a demo whose messages are all of clients.
func TestDemoNamesTheCausesOfFewRecords(t *testing.T) {
	file := filepath.Join(t.TempDir(), "empty.nmsg")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var l forward.Ledger
	l.Total.Read, l.Total.Dropped[transform.NotOutward] = 100, 100
	var out bytes.Buffer
	if err := showDemo(&out, file, 100, &dropExamples{}, l); err != nil {
		t.Fatal(err)
	}
	_, ledger, _ := strings.Cut(out.String(), "THE LEDGER")
	golden.Assert(t, ledger, "fewrecords-demo.txt")
}

// TestPacketsWithoutResolversNameTheirSenders reads a capture without --resolvers: the error names
// the addresses that query like a resolver.
func TestPacketsWithoutResolversNameTheirSenders(t *testing.T) {
	std := stdio{out: &bytes.Buffer{}, err: &bytes.Buffer{}, secrets: new(secrets)}
	err := replay(t.Context(), []string{"--to", "stdout:", "testdata/unbound.pcap"}, std)
	if err == nil || !strings.Contains(err.Error(), "queries as resolvers send them come from 192.0.2.53 (") {
		t.Errorf("got %v", err)
	}
}
