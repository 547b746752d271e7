package forward

import (
	"slices"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A source is the account of closed lanes and inlets with the same name.
type source struct {
	name   string
	counts transform.Counts // of closed lanes and inlets
	last   outwardBurst     // of closed lanes and inlets

	logs []*transform.KeyLog // of closed lanes, until HandOver
}

// An outwardBurst is the latest burst with a message that may be outward.
type outwardBurst struct {
	at    time.Time      // when the burst began; Live only; zero: there was none
	clock transform.Time // the time that its messages state
}

// later returns the later of two bursts.
func (s outwardBurst) later(o outwardBurst) outwardBurst {
	if o.at.After(s.at) {
		return o
	}
	return s
}

// Lane returns a new lane of the source, with the policy and sinks of the last Apply, which
// must precede it.
func (f *Forwarder) Lane(name string) *Lane { return f.lane(name, nil) }

// lane returns a lane that notes its records in log, unless log is nil.
func (f *Forwarder) lane(name string, log *transform.KeyLog) *Lane {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := &Lane{forwarder: f, source: f.source(name), pairer: transform.NewPairer(f.budget), log: log}
	l.pairer.KeepKeys(log)
	f.traceLane(l)
	l.pairer.SetKnown(f.learned.Known())
	l.emit = l.record
	l.setPlan(f.plan)
	f.lanes = append(f.lanes, l)
	return l
}

// PacketLane is [Forwarder.Lane] for packets that replace dnstap, of a capture that began
// at on. [Forwarder.HandOver] uses what the lane recorded.
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
		return // closed already
	}
	f.learned.See(l.pairer.Seen())
	counts := l.retire()
	l.source.counts.Add(&counts)
	f.domains.Merge(l.pairer.Domains())
	l.source.last = l.source.last.later(l.last)
	if l.log != nil {
		l.source.logs = append(l.source.logs, l.log)
	}
	f.lanes = slices.Delete(f.lanes, i, i+1)
}

// HandOver notes a capture of the source, whose lanes are closed. When it returns, all
// present and future dnstap lanes drop, as [transform.Duplicate], the transactions that
// these lanes recorded. It waits for open bursts: a lane whose message ends the capture
// must close its burst first, and take the message in the next one. Every capture must end
// with a HandOver, because the source keeps its logs until then.
func (f *Forwarder) HandOver(name string, capture transform.Span) {
	f.mu.Lock()
	defer f.mu.Unlock()
	src := f.source(name)
	f.handed = f.handed.With(capture, src.logs...)
	src.logs = nil
	f.setPlan(newPlan(f.plan.policy, f.handed, f.plan.senders, f.plan.ids))
}

// Rename gives sources new names and IDs, all at once: names maps old to new ones, and ids
// returns the IDs by new name, as in [Forwarder.Apply]. Sources keep their counts and lanes;
// sources that get the same name are merged.
func (f *Forwarder) Rename(names map[string]string, ids func(source string) nmsg.IDs) {
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
	f.setPlan(newPlan(f.plan.policy, f.handed, f.plan.senders, ids))
	for _, s := range f.stages() {
		s.set(s.feeds.senders, f.plan.ids(""))
	}
}

// merge adds lanes, inlets, counts and logs of another source to s. f.mu is held.
func (f *Forwarder) merge(s, other *source) {
	for _, l := range f.lanes {
		if l.source == other {
			l.source = s
		}
	}
	for _, i := range f.inlets {
		if i.source == other {
			i.source = s
		}
	}
	s.counts.Add(&other.counts)
	s.last = s.last.later(other.last)
	s.logs = append(s.logs, other.logs...)
}

// Domains returns the n registered domains with the most drops, over all lanes since the
// start. It waits for open bursts.
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
