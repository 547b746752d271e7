package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// endpoints makes a configuration that a statement can be about.
const endpoints = `
source "dnstap" "a" {
  listen = "unix:///run/a.sock"
}
sink "nmsg" "out" {
  to = "stdout:"
}
`

// TestStatementsListWhatExplainCounts: a statement leaves out the rules and reasons that its
// configuration turns off. explain must count none of these in any capture.
func TestStatementsListWhatExplainCounts(t *testing.T) {
	captures, err := filepath.Glob("../../transform/testdata/captures/*.fstrm")
	if err != nil {
		t.Fatal(err)
	}
	for name, policy := range map[string]string{
		"default": ``,
		"names":   "scrub {\n  local_names = [\"univ.example\", \"corp.example\"]\n}",
		"outward": `outward {
  forwarded     = true
  unanswered    = true
  local_servers = true
}`,
		"keep": `scrub {
  resolver_address   = "keep"
  local_names        = ["corp.example"]
  local_names_inside = "keep"
  lookups            = "keep"
  special_names      = false
  time_resolution    = "1ns"
}`,
	} {
		path := filepath.Join(t.TempDir(), "site.hcl")
		if err := os.WriteFile(path, []byte(endpoints+policy+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		var text, errs bytes.Buffer
		if code := realMain([]string{"check", "--statement", "-c", path}, stdio{out: &text, err: &errs}); code != exitDone {
			t.Fatalf("%s: exit %d: %s", name, code, &errs)
		}
		counted := countedBy(t, append([]string{"--json", "-c", path}, captures...))
		if len(counted) < 15 {
			t.Errorf("%s: explain counts only %v", name, counted)
		}
		for row, meaning := range counted {
			if !strings.Contains(text.String(), "\n| `"+row+"` | "+meaning+" |") {
				t.Errorf("%s: explain counts %s, which the statement does not list", name, row)
			}
		}
	}
}

// countedBy returns the rules and reasons that explain counts, with their meanings.
func countedBy(t *testing.T, args []string) map[string]string {
	t.Helper()
	var out bytes.Buffer
	if err := runExplain(t.Context(), args, stdio{out: &out, err: io.Discard}); err != nil && !errors.Is(err, errCanary) {
		t.Fatal(err)
	}
	var report struct {
		Dropped []struct {
			Reason, Meaning string
			Messages        int
		}
		Rules []struct {
			Rule, Meaning string
			Records       int
		}
	}
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatal(err)
	}
	counted := map[string]string{}
	for _, d := range report.Dropped {
		if d.Messages > 0 {
			counted[d.Reason] = d.Meaning
		}
	}
	for _, r := range report.Rules {
		if r.Records > 0 {
			counted[r.Rule] = r.Meaning
		}
	}
	return counted
}
