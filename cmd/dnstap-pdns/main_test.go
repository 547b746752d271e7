package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	testscript.Main(leakChecked{m}, map[string]func(){"dnstap-pdns": main})
}

// leakChecked fails a run of tests that leaves goroutines behind.
type leakChecked struct{ m *testing.M }

func (l leakChecked) Run() int {
	code := l.m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		os.Stderr.WriteString(err.Error() + "\n")
		return 1
	}
	return code
}

// TestScripts runs each command as people call it, refusals included.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			wd, err := os.Getwd()
			e.Setenv("CAPTURE", wd+"/demo.fstrm")
			e.Setenv("VECTORS", wd+"/internal/present/testdata")
			return err
		},
		RequireExplicitExec: true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
	})
}

func TestEveryCommandIsInTheUsage(t *testing.T) {
	for name := range commands {
		if got := realMain([]string{name, "-h"}, stdio{nil, os.Stderr, os.Stderr}); got != exitDone {
			t.Errorf("%s -h: exit %d, want %d", name, got, exitDone)
		}
	}
}
