package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What is to be done is what helps: check cannot see all that keeps a configuration from
// being used.
func TestAdviceFitsTheProblem(t *testing.T) {
	place, none := &configError{"c.hcl:3", "no such level"}, &configError{what: "no such file"}
	for name, tt := range map[string]struct {
		got      problem
		says, do string
	}{
		"a line of the configuration": {problemOf(place), "c.hcl:3 cannot be used; dnstap-pdns check says why", "check finds"},
		"no file":                     {problemOf(none), "the configuration file cannot be read; the log says why", "See that the file is there"},
		"no interface":                {problemOf(errors.New("no such interface")), "the log says why", "Mend what the sensor's log tells of"},
		"a line of the names":         {namesProblemOf(place), "c.hcl:3 cannot be used; dnstap-pdns check says why", "read again by itself"},
		"names that the sensor refuses": {namesProblemOf(fmt.Errorf("apply: %w", errors.New("full"))),
			"the log says why", "Mend what the sensor's log tells of, and reload again (SIGHUP)"},
	} {
		if tt.got.says != tt.says || !strings.Contains(tt.got.do, tt.do) {
			t.Errorf("%s: got %q, %q", name, tt.got.says, tt.got.do)
		}
	}
}

// A reload that failed is told of with its own time, whatever is renewed meanwhile, until
// one succeeds.
func TestProblemKeepsItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r reloader
		r.began(time.Now())
		later := func() time.Time {
			time.Sleep(time.Minute)
			return time.Now()
		}
		wants := func(what string, ok bool, at, inForce time.Time) {
			t.Helper()
			if got := r.status(); got.OK != ok || got.Time != at || got.InForceSince != inForce || ok != (got.Error+got.Advice == "") {
				t.Errorf("%s: got %+v", what, got)
			}
		}
		empty := func(p *problems) { p.names = namesProblemOf(&configError{}) }
		renewed := func(p *problems) { p.names = problem{} }

		at := later()
		r.note(renewed)
		wants("names renewed", true, at, at)
		inForce, at := at, later()
		r.note(empty)
		wants("no names", false, at, inForce)
		at = later()
		r.note(func(p *problems) { p.config = problemOf(&configError{}) })
		wants("a reload that failed", false, at, inForce)
		later()
		r.note(renewed)
		wants("names renewed, after a reload that failed", false, at, inForce)
		at = later()
		r.note(func(p *problems) { *p = problems{} })
		wants("reloaded", true, at, at)
	})
}
