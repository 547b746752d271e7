package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestRemedyFitsTheProblem: check does not find every problem.
func TestRemedyFitsTheProblem(t *testing.T) {
	place, none := &configError{"c.hcl:3", "no such level"}, &configError{what: "no such file"}
	for name, tt := range map[string]struct {
		got          problem
		text, remedy string
	}{
		"a line of the configuration": {problemOf(place), "c.hcl:3 cannot be used; dnstap-pdns check says why", "dnstap-pdns check prints"},
		"no file":                     {problemOf(none), "the configuration file cannot be read; the log says why", "Check that the file exists"},
		"no interface":                {problemOf(errors.New("no such interface")), "the log says why", "Fix the problem that the log of the sensor reports"},
		"no folder": {problemOf(refusedError{errors.New("no such directory")}),
			"the configuration cannot take effect on this machine; dnstap-pdns check says why", "Fix the errors that dnstap-pdns check prints"},
		"a line of the names": {namesProblemOf(place), "c.hcl:3 cannot be used; dnstap-pdns check says why", "reads the file again by itself"},
		"names that the sensor refuses": {namesProblemOf(fmt.Errorf("apply: %w", errors.New("full"))),
			"the log says why", "Fix the problem that the log of the sensor reports, and reload again (SIGHUP)"},
	} {
		if tt.got.text != tt.text || !strings.Contains(tt.got.remedy, tt.remedy) {
			t.Errorf("%s: got %q, %q", name, tt.got.text, tt.got.remedy)
		}
	}
}

// TestFailedReloadKeepsItsTime until a reload succeeds, even if names are reloaded meanwhile.
func TestFailedReloadKeepsItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r reloader
		r.setStarted(time.Now())
		later := func() time.Time {
			time.Sleep(time.Minute)
			return time.Now()
		}
		check := func(what string, ok bool, at, inForce time.Time) {
			t.Helper()
			if got := r.status(); got.OK != ok || got.Time != at || got.InForceSince != inForce || ok != (got.Error+got.Advice == "") {
				t.Errorf("%s: got %+v", what, got)
			}
		}
		empty := func(p *problems) { p.names = namesProblemOf(&configError{}) }
		reloaded := func(p *problems) { p.names = problem{} }

		at := later()
		r.record(reloaded)
		check("names reloaded", true, at, at)
		inForce, at := at, later()
		r.record(empty)
		check("no names", false, at, inForce)
		at = later()
		r.record(func(p *problems) { p.config = problemOf(&configError{}) })
		check("a reload that failed", false, at, inForce)
		later()
		r.record(reloaded)
		check("names reloaded, after a reload that failed", false, at, inForce)
		at = later()
		r.record(func(p *problems) { *p = problems{} })
		check("reloaded", true, at, at)
	})
}
