package explain

import (
	"net/netip"
	"sync"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/canary"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// An Explainer gathers what its Report tells. It may be told of several lanes and sinks
// at once.
type Explainer struct {
	policy transform.Config

	mu      sync.Mutex // of what lanes tell
	reasons map[transform.Reason]*samples[Example]
	rules   map[transform.Rule]*samples[RuleExample]
	entries entries
	told    told
	beside  besides

	counting *counting // nil unless asked for

	leaving leaving // of what sinks tell
}

// New returns an Explainer of what this policy does, which looks for the canaries in what
// leaves.
func New(policy transform.Config, canaries []canary.Canary) *Explainer {
	e := &Explainer{
		policy:  policy,
		reasons: map[transform.Reason]*samples[Example]{},
		rules:   map[transform.Rule]*samples[RuleExample]{},
		entries: newEntries(&policy),
		told:    told{addrs: map[netip.Addr]bool{}},
		beside:  besides{},
	}
	for _, c := range canaries {
		e.leaving.watch(c, given)
	}
	for _, p := range policy.Resolvers {
		if p.IsSingleIP() {
			e.leaving.watch(canary.OfAddr(p.Addr()), configured)
		}
	}
	return e
}

// Trace makes the Explainer the trace of every lane.
func (e *Explainer) Trace(string) transform.Trace { return e }

// Verdict takes what became of a message.
func (e *Explainer) Verdict(v *transform.Verdict) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if v.Reason == transform.Inward {
		e.drop(v)
		return
	}
	if v.Message != nil {
		e.learn(v.Message)
	}
	e.entries.see(v)
	e.counting.take(v)
	switch {
	case v.Reason != transform.Kept:
		e.drop(v)
	case v.Record != nil:
		e.exemplify(v)
		e.change(v)
	}
}

// drop keeps an example of what was dropped, and one for the rule if that is why.
func (e *Explainer) drop(v *transform.Verdict) {
	e.exemplify(v)
	if v.Finding.Rule != transform.NoRule {
		if s := sample(e.rules, v.Finding.Rule); s.wanted() {
			c := foundBy(v)
			s.add(c.Before, RuleExample{exampleOf(v), []Change{c}})
		}
	}
}

// exemplify keeps an example of what has this reason.
func (e *Explainer) exemplify(v *transform.Verdict) {
	s := sample(e.reasons, v.Reason)
	if s.wanted() && (len(v.Name) > 0 || v.Server.IsValid()) {
		x := exampleOf(v)
		s.add(x.Name+" "+x.Type+" "+x.Server, x)
	}
}

// change keeps an example for each rule that changed the record.
func (e *Explainer) change(v *transform.Verdict) {
	for edits := v.Edits; len(edits) > 0; {
		n := 1
		for n < len(edits) && edits[n].Rule == edits[0].Rule {
			n++
		}
		if s := sample(e.rules, edits[0].Rule); s.wanted() {
			changes := changesOf(v, edits[:n])
			key := ""
			for _, c := range changes {
				key += c.What + " " + c.Before + "\n"
			}
			s.add(key, RuleExample{exampleOf(v), changes})
		}
		edits = edits[n:]
	}
}

// maxTold bounds what is remembered of a resolver that takes its addresses at random from
// a network.
const maxTold = 64

// told is the addresses that messages told as the resolver's.
type told struct {
	addrs map[netip.Addr]bool
	last  [2]netip.Addr
	more  bool // than are remembered
}

// learn notes the resolver's address.
func (e *Explainer) learn(m *transform.Message) {
	a := m.Resolver.Addr().Unmap()
	t := &e.told
	if !a.IsValid() || a.IsUnspecified() || a == t.last[0] || a == t.last[1] {
		return
	}
	t.last[1], t.last[0] = t.last[0], a
	switch {
	case t.addrs[a]:
	case len(t.addrs) == maxTold:
		t.more = true
	default:
		t.addrs[a] = true
		e.entries.told(a)
		e.leaving.watch(canary.OfAddr(a), messages)
	}
}

// maxSamples is how many examples there are of one thing, and maxTries after how many
// candidates no more different ones are looked for.
const (
	maxSamples = 3
	maxTries   = 1000
)

// samples are the first few that differ.
type samples[T any] struct {
	all   []T
	keys  [maxSamples]string
	tries int
}

func sample[K comparable, T any](m map[K]*samples[T], k K) *samples[T] {
	s := m[k]
	if s == nil {
		s = &samples[T]{}
		m[k] = s
	}
	return s
}

func (s *samples[T]) wanted() bool { return len(s.all) < maxSamples && s.tries < maxTries }

func (s *samples[T]) add(key string, v T) {
	s.tries++
	for _, k := range s.keys[:len(s.all)] {
		if k == key {
			return
		}
	}
	s.keys[len(s.all)] = key
	s.all = append(s.all, v)
}
