package forward

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
	"github.com/dnstap-pdns/dnstap-pdns/transform/rrset"
)

// A stage is the output of an aggregate sink. It feeds the RRsets that the sink's transports emit to
// the sinks whose From is the name of the aggregate sink, and withholds those that the policy in force
// forbids. It exists as long as the aggregate sink.
type stage struct {
	mode Mode

	mu    sync.Mutex
	judge transform.RRsetJudge
	ids   nmsg.IDs
	feeds feeds
}

// emit implements [Env].Emit. Its batches enter the queues although these may be full, and the next
// RRset waits: so a queue exceeds its limit by the batches of one RRset, and those that become
// due, at most.
func (s *stage) emit(ctx context.Context, a *rrset.Aggregate, at transform.Time) transform.Reason {
	senders, reason := s.take(a, at)
	for _, n := range senders {
		n.queue.awaitRoom(ctx)
	}
	return reason
}

// take judges an RRset, copies it into the feeds, and returns their senders; or none, and the reason
// for which the RRset is withheld.
func (s *stage) take(a *rrset.Aggregate, at transform.Time) ([]*sender, transform.Reason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if reason := s.judge.Judge(a.Name, a.Bailiwick, a.Type, a.Class, a.Rdata); reason != transform.Kept {
		return nil, reason
	}
	var now time.Time
	if s.mode == Live {
		now, at = time.Now(), transform.NoTime
	}
	s.feeds.rrset(a, s.ids, now, at)
	s.feeds.shrink()
	return s.feeds.senders, transform.Kept
}

// set replaces the senders and the IDs. Feeds of senders that remain keep their open batch.
func (s *stage) set(senders []*sender, ids nmsg.IDs) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids = ids
	s.feeds.set(group(senders))
}

// seal seals the open batches.
func (s *stage) seal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.feeds.seal()
}

// setPolicy sets the policy and the resolver's addresses by which RRsets are judged.
func (s *stage) setPolicy(p *transform.Policy, known *transform.KnownAddrs) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.judge.SetPolicy(p, known)
}

// setKnown sets these addresses.
func (s *stage) setKnown(known *transform.KnownAddrs) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.judge.SetKnown(known)
}

// sealDue seals the open batches that have waited for the flush time of their sink.
func (s *stage) sealDue(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.feeds.sealDue(now)
}

// feedsSink reports whether the stage feeds a sink. Only the Forwarder changes that, with its mutex
// held.
func (s *stage) feedsSink(to *sink) bool {
	return slices.ContainsFunc(s.feeds.senders, func(n *sender) bool { return n.sink == to })
}

// setStages gives each stage the policy and its senders, of those that Apply will install. The stage of
// a sink that aggregates no longer keeps the sinks that it feeds, until the sink's last transport is
// closed: it may emit RRsets until then. f.mu is held.
func (f *Forwarder) setStages(senders []*sender, p *plan) {
	ids, known := p.ids(""), f.learned.Known()
	for _, n := range senders {
		if n.aggregates() {
			n.sink.stage.setPolicy(p.policy, known)
			n.sink.stage.set(fedBy(n.sink.name, senders), ids)
		}
	}
	for _, s := range f.allSinks() {
		if s.stage != nil && !slices.ContainsFunc(senders, func(n *sender) bool { return n.sink == s && n.aggregates() }) {
			s.stage.setPolicy(p.policy, known)
			s.stage.set(successors(s.stage.feeds.senders, senders), ids)
		}
	}
}

// endStages ends all stages. What a transport that has not returned emits later is not counted.
func (f *Forwarder) endStages() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.stages() {
		s.set(nil, nmsg.IDs{})
	}
}

// fedBy returns the senders of the sinks that an aggregate sink feeds.
func fedBy(name string, senders []*sender) (fed []*sender) {
	for _, n := range senders {
		if n.config.From == name {
			fed = append(fed, n)
		}
	}
	return fed
}

// successors replaces each of the senders by the new one of its sink, if there is one, and leaves out
// sinks that take RRsets no longer.
func successors(senders, all []*sender) (kept []*sender) {
	for _, n := range senders {
		if i := slices.IndexFunc(all, func(o *sender) bool { return o.sink == n.sink }); i >= 0 {
			n = all[i]
		}
		if n.config.From != "" {
			kept = append(kept, n)
		}
	}
	return kept
}

// closeQueues closes the queues of sinks that have to end, unless a stage still feeds them. First it
// ends the stages whose sinks emit no more. f.mu is held.
func (f *Forwarder) closeQueues() {
	all := f.allSinks()
	for _, s := range all {
		if s.stage != nil && !s.emits() {
			s.stage.set(nil, nmsg.IDs{})
		}
	}
	for _, s := range all {
		fed := slices.ContainsFunc(all, func(o *sink) bool { return o.stage != nil && o.stage.feedsSink(s) })
		if (f.stopped || s.removed) && !fed {
			s.queue.close()
		}
	}
}

// emits reports whether a transport of the sink may emit RRsets.
func (s *sink) emits() bool {
	return slices.ContainsFunc(s.senders, func(n *sender) bool { return n.aggregates() && !n.ended })
}

// aggregates reports whether the sender is one of an aggregate sink.
func (s *sender) aggregates() bool { return s.config.Target.Scheme == Aggregate }
