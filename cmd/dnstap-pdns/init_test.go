package main

import (
	"bufio"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/setup"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
)

func TestTheResolverInUseIsChosen(t *testing.T) {
	tests := []struct {
		named, installed, running string
		want, err                 string
	}{
		{"", "bind", "", "bind", ""},
		{"knot", "bind", "bind", "knot", ""},
		{"", "", "", "", "found no resolver on this machine: name one of unbound, bind, pdns, knot"},
		{"", "unbound knot", "", "", "found Unbound and Knot Resolver on this machine, and none of them runs: name one of"},
		{"", "unbound knot", "knot", "knot", ""},
		{"", "unbound bind knot", "knot bind", "", "BIND and Knot Resolver run on this machine: name one of"},
	}
	for _, tt := range tests {
		in := func(list string) func(conf.Setup) bool {
			return func(s conf.Setup) bool { return strings.Contains(list, s.Name) }
		}
		got, err := chooseSetup(tt.named, in(tt.installed), in(tt.running))
		if got.Name != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%q of %q: got %q, %v", tt.named, tt.installed, got.Name, err)
		}
	}
}

// TestRunningProgramIsFound uses the program of this test.
func TestRunningProgramIsFound(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if !isRunning(conf.Setup{Program: program}) {
		t.Errorf("%s does not run", program)
	}
	copied := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(copied, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if isRunning(conf.Setup{Program: copied}) {
		t.Errorf("%s runs", copied)
	}
}

func TestQuestionsNeedAnAnswer(t *testing.T) {
	for answer, want := range map[string]bool{"y\n": true, "maybe\nYes\n": true, "n\n": false, "\nNO\n": false} {
		var out strings.Builder
		got, err := ask(bufio.NewReader(strings.NewReader(answer)), &out, "Write /x?")
		if got != want || err != nil {
			t.Errorf("%q: got %v, %v", answer, got, err)
		}
		if n := strings.Count(out.String(), "Write /x? [y/n] "); n != strings.Count(answer, "\n") {
			t.Errorf("%q: asked %d times: %q", answer, n, out.String())
		}
	}
	if _, err := ask(bufio.NewReader(strings.NewReader("")), io.Discard, "Write /x?"); !errors.Is(err, io.EOF) {
		t.Errorf("without an answer: got %v, want EOF", err)
	}
}

// TestInitWithoutAnAddress: directives and configuration are valid without addresses.
func TestInitWithoutAnAddress(t *testing.T) {
	for _, s := range conf.Setups()[:3] {
		directives, err := s.Directives(conf.Site{})
		if err != nil || directives == "" || strings.Contains(directives, "0.0.0.0") {
			t.Errorf("%s: %q, %v", s.Name, directives, err)
		}
		config, err := s.Config(conf.Site{})
		if err != nil {
			t.Fatal(err)
		}
		if f, diags := conf.Parse("c.hcl", []byte(config)); diags.HasErrors() || len(f.Policy.Resolvers) > 0 {
			t.Errorf("%s: %v\n%s", s.Name, diags, config)
		}
	}
}

// TestDocumentationShowsWhatInitPrints compares what init prints with docs/resolvers.md, whose
// set-ups the integration tests run.
func TestDocumentationShowsWhatInitPrints(t *testing.T) {
	raw := read(t, root+"docs/resolvers.md")
	at := conf.Site{Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.53"), netip.MustParseAddr("2001:db8:53::53")}}
	for name, title := range map[string]string{"unbound": "Unbound", "bind": "BIND", "pdns": "PowerDNS"} {
		chosen, err := chooseSetup(name, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		for part, text := range map[string]func(conf.Site) (string, error){"sensor": chosen.Source, "resolver": chosen.Directives} {
			_, rest, ok := strings.Cut(raw, "<!-- tried: "+title+", "+part+" -->\n```")
			_, rest, _ = strings.Cut(rest, "\n")
			got, _, closed := strings.Cut(rest, "```\n")
			if !ok || !closed {
				t.Fatalf("docs/resolvers.md has no block of %s, %s", title, part)
			}
			want, err := text(at)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("docs/resolvers.md, %s, %s (-init +docs):\n%s", title, part, diff)
			}
		}
	}
}

// TestOwnCommandsAreRunByThisExecutable, also after env, which gives them the key of a collection.
func TestOwnCommandsAreRunByThisExecutable(t *testing.T) {
	for _, before := range [][]string{nil, {"env", "CREDENTIALS_DIRECTORY=/etc/dnstap-pdns"}} {
		args := append(before, setup.Self, "-test.run=^$") // the executable is this test
		if err := runCommand(t.Context(), args, stdio{out: io.Discard, err: io.Discard}); err != nil {
			t.Errorf("%q: %v", args, err)
		}
	}
}
