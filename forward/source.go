package forward

import (
	"slices"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A source is what lanes of one name have in common.
type source struct {
	name string
	gone transform.Counts // of lanes that are closed
	last sighting         // of lanes that are closed

	logs []*transform.KeyLog // of lanes that are closed, until HandOver
}

// A sighting is the latest burst with a message that may be outward.
type sighting struct {
	at    time.Time      // when it came; Live, zero: there was none
	clock transform.Time // the time in its messages
}

// later returns the later of two.
func (s sighting) later(o sighting) sighting {
	if o.at.After(s.at) {
		return o
	}
	return s
}

// Lane returns a new lane of the source, which works by what was last applied:
// Apply comes first.
func (f *Forwarder) Lane(name string) *Lane { return f.lane(name, nil) }

// lane returns a lane that keeps a log, unless that is nil.
func (f *Forwarder) lane(name string, log *transform.KeyLog) *Lane {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := &Lane{forwarder: f, source: f.source(name), pairer: transform.NewPairer(f.budget), log: log}
	l.pairer.Log(log)
	f.traceLane(l)
	l.pairer.Know(f.learned.Known())
	l.emit = l.record
	l.adopt(f.plan)
	f.lanes = append(f.lanes, l)
	return l
}

// PacketLane is [Forwarder.Lane] for packets that replace dnstap, of a capture that
// began at on. What the lane recorded is known at [Forwarder.HandOver].
func (f *Forwarder) PacketLane(name string, on transform.Time) *Lane {
	return f.lane(name, transform.NewKeyLog(on))
}

func (f *Forwarder) source(name string) *source {
	for _, s := range f.sources {
		if s.name == name {
			return s
		}
	}
	s := &source{name: name}
	f.sources = append(f.sources, s)
	return s
}

func (f *Forwarder) closeLane(l *Lane) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.Index(f.lanes, l)
	if i < 0 {
		return // closed before
	}
	f.learned.See(l.pairer.Seen())
	counts := l.retire()
	l.source.gone.Add(&counts)
	f.domains.Merge(l.pairer.Domains())
	l.source.last = l.source.last.later(l.last)
	if l.log != nil {
		l.source.logs = append(l.source.logs, l.log)
	}
	f.lanes = slices.Delete(f.lanes, i, i+1)
}

// HandOver notes when and of whom a source's capture was, whose lanes are closed. When
// it returns, what these lanes recorded is [transform.Duplicate] in all lanes of
// dnstap, those to come included. It waits for bursts under way, so a lane whose
// message ends the capture closes its burst first, and takes the message in another.
// Each capture has to end in one: logs wait for it.
func (f *Forwarder) HandOver(name string, capture transform.Span) {
	f.mu.Lock()
	defer f.mu.Unlock()
	src := f.source(name)
	f.handed = f.handed.With(capture, src.logs...)
	src.logs = nil
	f.plan = newPlan(f.plan.policy, f.handed, f.plan.senders)
	for _, l := range f.lanes {
		l.adopt(f.plan)
	}
}

// Rename gives sources other names, all at once: from the old one to the new. What is
// counted of a source goes along, its lanes that live and those that are gone; sources
// that have one name then become one.
func (f *Forwarder) Rename(names map[string]string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	byName := map[string]*source{}
	f.sources = slices.DeleteFunc(f.sources, func(s *source) bool {
		if name, ok := names[s.name]; ok {
			s.name = name
		}
		first, same := byName[s.name]
		if same {
			f.merge(first, s)
		} else {
			byName[s.name] = s
		}
		return same
	})
}

// merge gives s all that another source has. f.mu is held.
func (f *Forwarder) merge(s, other *source) {
	for _, l := range f.lanes {
		if l.source == other {
			l.source = s
		}
	}
	s.gone.Add(&other.gone)
	s.last = s.last.later(other.last)
	s.logs = append(s.logs, other.logs...)
}

// Domains returns the n registered domains that were dropped most, by all lanes since
// the start. It waits for bursts under way.
func (f *Forwarder) Domains(n int) []transform.DomainCount {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all transform.DomainCounts
	all.Merge(&f.domains)
	for _, l := range f.lanes {
		l.mu.Lock()
		all.Merge(l.pairer.Domains())
		l.mu.Unlock()
	}
	return all.Top(n)
}
