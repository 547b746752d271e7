package main

import (
	"cmp"
	"errors"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/admin"
)

// problems are why something is not in force that should be.
type problems struct{ config, names problem }

// A problem is for whoever may ask: what a configuration says, its local names and
// addresses, is the operator's, who has the log. Zero: there is none.
type problem struct {
	since    time.Time
	says, do string
}

// problemOf is one of the configuration.
func problemOf(why error) problem {
	p := problem{time.Now(), "the log says why", "Mend what the sensor's log tells of, and reload again (SIGHUP)."}
	switch bad, ok := errors.AsType[*configError](why); {
	case !ok:
	case bad.place == "":
		p.says = "the configuration file cannot be read; the log says why"
		p.do = "See that the file is there and that the sensor's user may read it, and reload again (SIGHUP)."
	default:
		p.says = bad.place + " cannot be used; dnstap-pdns check says why"
		p.do = "Mend what dnstap-pdns check finds (nothing, if that has been mended since), and reload again (SIGHUP)."
	}
	return p
}

// namesProblemOf is one of local_names_file, which is read again when it has changed.
func namesProblemOf(why error) problem {
	p := problemOf(why)
	if _, ok := errors.AsType[*configError](why); ok {
		p.do = "Mend what dnstap-pdns check finds; the file is read again by itself."
	}
	return p
}

// latest is how the latest reload went that matters: one that failed, until what it was to
// bring is in force. before is what was said so far.
func (p *problems) latest(before admin.Reload) admin.Reload {
	now := time.Now()
	if left := cmp.Or(p.config, p.names); left != (problem{}) {
		return admin.Reload{Time: left.since, InForceSince: before.InForceSince, Error: left.says, Advice: left.do}
	}
	return admin.Reload{OK: true, Time: now, InForceSince: now}
}
