package explain

import (
	"net/netip"
	"sync"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/canary"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// An Explainer gathers what its Report contains. Several lanes and sinks may use it at once.
type Explainer struct {
	policy transform.Config
	masked func(string) string

	mu           sync.Mutex // of what lanes report
	reasons      map[transform.Reason]*samples[Example]
	rules        map[transform.Rule]*samples[RuleExample]
	entries      entries
	learned      learned
	transactions transactions
	hiding       *transform.DomainCounts
	uncopied     uncopied

	counting *counting // nil unless asked for

	leaving leaving // of what sinks report
}

// Options are what a report is made for.
type Options struct {
	Canaries []canary.Canary // to search for in what leaves, in addition to what the policy forbids

	// Masked returns what a report shows of an entry of the policy, which is given as
	// transform.Entry presents it; nil: the entry. It is for entries that the configuration
	// takes from the environment or from a file.
	Masked func(entry string) string
}

// maxNames bounds the local names that are searched for as octets too.
const maxNames = 1000

// New returns an Explainer of what this policy does.
func New(policy transform.Config, o Options) *Explainer {
	e := &Explainer{
		policy:       policy,
		masked:       o.Masked,
		reasons:      map[transform.Reason]*samples[Example]{},
		rules:        map[transform.Rule]*samples[RuleExample]{},
		entries:      newEntries(&policy),
		learned:      learned{addrs: map[netip.Addr]bool{}},
		transactions: transactions{forbidden: canary.NewForbidden(canary.Policy{KeepResolver: policy.KeepResolver})},
		hiding:       transform.NewDomainCounts(maxZones),
		uncopied:     uncopied{},
	}
	for _, c := range o.Canaries {
		e.leaving.watch(c, given, asASCII(c.Text))
	}
	e.leaving.forbidden = canary.NewForbidden(e.forbidden())
	for _, p := range policy.Resolvers {
		if p.IsSingleIP() && !isShared(p.Addr()) {
			e.leaving.watch(canary.OfAddr(p.Addr()), configured, p.Addr().String())
		}
	}
	return e
}

// forbidden is what the policy forbids, for the exact search. The first local names are
// searched for as octets too.
func (e *Explainer) forbidden() canary.Policy {
	c := &e.policy
	p := canary.Policy{
		KeepInside:    c.KeepLocalNamesInside,
		LocalNetworks: c.LocalNetworks,
		Resolvers:     c.Resolvers,
		KeepResolver:  c.KeepResolver,
	}
	for i, written := range c.LocalNames {
		name, err := transform.ParseLocalName(written)
		if err != nil {
			continue // the policy is refused
		}
		shown := e.shown(transform.Entry{Name: written})
		p.LocalNames = append(p.LocalNames, canary.Name{ALabels: name, Written: shown})
		if i < maxNames {
			e.leaving.watch(canary.OfText(name), local, shown)
		}
	}
	return p
}

// Trace makes the Explainer the trace of every lane.
func (e *Explainer) Trace(string) transform.Trace { return e }

// Verdict takes the verdict on a message.
func (e *Explainer) Verdict(v *transform.Verdict) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if v.Message != nil {
		e.frame(v.Message.Frame)
	}
	if v.Reason == transform.NotOutward {
		e.drop(v)
		return
	}
	if v.Message != nil {
		e.learn(v.Message)
	}
	e.entries.see(v)
	e.counting.take(v)
	e.hiding.Count(v.Name, v.Finding.Rule)
	e.transactions.see(v, func(a netip.Addr) bool { return e.learned.addrs[a.Unmap()] })
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
			c := e.foundBy(v)
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

// Bounds of the addresses that messages show as the resolver's.
const (
	maxLearned = 4096 // that are searched for
	maxWatched = 64   // of these, those that are searched for as octets too, and listed
)

// learned is the addresses that messages showed as the resolver's.
type learned struct {
	addrs map[netip.Addr]bool
	last  [2]netip.Addr
	more  bool // than are searched for
}

// learn notes the resolver's address.
func (e *Explainer) learn(m *transform.Message) {
	a := m.Resolver.Addr().Unmap()
	l := &e.learned
	if !a.IsValid() || isShared(a) || a == l.last[0] || a == l.last[1] {
		return
	}
	l.last[1], l.last[0] = l.last[0], a
	switch {
	case l.addrs[a]:
	case len(l.addrs) == maxLearned:
		l.more = true
	default:
		l.addrs[a] = true
		e.entries.strikeResolver(a)
		e.leaving.learn(a, len(l.addrs) <= maxWatched)
	}
}

// isShared reports whether many hosts have an address, so that it is never the resolver's.
func isShared(a netip.Addr) bool {
	return a.IsUnspecified() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast()
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
