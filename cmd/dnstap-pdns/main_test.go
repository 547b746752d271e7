package main

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
	"gotest.tools/v3/golden"
)

func TestMain(m *testing.M) {
	testscript.Main(leakChecked{m}, map[string]func(){"dnstap-pdns": main})
}

// leakChecked fails a run of tests after which goroutines remain.
type leakChecked struct{ m *testing.M }

func (l leakChecked) Run() int {
	code := l.m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		os.Stderr.WriteString(err.Error() + "\n")
		return 1
	}
	return code
}

// TestScripts runs each command as users do, with valid and invalid arguments.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			wd, err := os.Getwd()
			e.Setenv("CAPTURE", wd+"/demo.fstrm")
			e.Setenv("PACKETS", wd+"/testdata/unbound.pcap") // the messages of CAPTURE, as packets
			e.Setenv("CAPTURES", wd+"/../../transform/testdata/captures")
			e.Setenv("ADMIN", adminAddress(e.WorkDir))
			e.Setenv("VECTORS", wd+"/../../forward/nmsg/testdata")
			e.Setenv("CASES", wd+"/testdata/cases")
			return err
		},
		RequireExplicitExec: true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
	})
}

// adminAddress returns an address that no sensor of another folder uses, because scripts and
// other tests run at the same time.
func adminAddress(dir string) string {
	h := fnv.New32a()
	h.Write([]byte(dir))
	sum := h.Sum32()
	return fmt.Sprintf("127.%d.%d.%d:9353", 64+sum>>26, byte(sum>>8), 1+byte(sum)%254)
}

// TestEveryCommandHasScripts searches for a line on which the command succeeds, and one on which
// it fails.
func TestEveryCommandHasScripts(t *testing.T) {
	paths, err := filepath.Glob("testdata/script/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		script, _, _ := strings.Cut(string(text), "\n-- ") // the files follow
		lines = append(lines, strings.Split(script, "\n")...)
	}
	for _, c := range commands {
		name := c.usage.name
		for _, prefix := range []string{"exec dnstap-pdns ", "! exec dnstap-pdns "} {
			if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l+" ", prefix+name+" ") }) {
				t.Errorf("no script has the line %q", prefix+name)
			}
		}
	}
}

// TestHelp compares the help texts with testdata/help.txt.
func TestHelp(t *testing.T) {
	var all strings.Builder
	show := func(args ...string) {
		t.Helper()
		var out, errs bytes.Buffer
		if code := realMain(args, stdio{out: &out, err: &errs}); code != exitDone || errs.Len() > 0 {
			t.Errorf("%q: exit %d: %s", args, code, &errs)
		}
		fmt.Fprintf(&all, "$ dnstap-pdns %s\n%s\n", strings.Join(args, " "), &out)
	}
	show("help")
	for _, c := range commands {
		show("help", c.usage.name)
	}
	golden.Assert(t, all.String(), "help.txt")
}

// TestAllFormsOfHelpPrintTheSame also checks that help needs no valid arguments after it.
func TestAllFormsOfHelpPrintTheSame(t *testing.T) {
	for _, c := range commands {
		want := ""
		for _, args := range [][]string{{"help", c.usage.name}, {c.usage.name, "--help"}, {c.usage.name, "-h"}, {c.usage.name, "x", "--help", "--nonsense"}} {
			var out, errs bytes.Buffer
			code := realMain(args, stdio{out: &out, err: &errs})
			if want == "" {
				want = out.String()
			}
			if code != exitDone || errs.Len() > 0 || out.String() != want || want == "" {
				t.Errorf("%q: exit %d: %s%s", args, code, &out, &errs)
			}
		}
	}
}
