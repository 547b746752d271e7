package main

import (
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
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
	for name := range commands {
		for _, prefix := range []string{"exec dnstap-pdns ", "! exec dnstap-pdns "} {
			if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l+" ", prefix+name+" ") }) {
				t.Errorf("no script has the line %q", prefix+name)
			}
		}
	}
}

func TestEveryCommandIsInTheUsage(t *testing.T) {
	for name := range commands {
		if got := realMain([]string{name, "-h"}, stdio{out: os.Stderr, err: os.Stderr}); got != exitDone {
			t.Errorf("%s -h: exit %d, want %d", name, got, exitDone)
		}
	}
}
