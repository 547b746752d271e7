package explain

import (
	"net/netip"
	"sync"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/canary"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// An Explainer collects the contents of its Report. Several lanes and sinks may use it at once.
type Explainer struct {
	policy transform.Config
	masked func(string) string

	mu               sync.Mutex // guards what lanes report
	reasons          map[transform.Reason]*samples[Example]
	rules            map[transform.Rule]*samples[RuleExample]
	unmatchedEntries unmatchedEntries
	learned          learned
	transactions     transactions
	hiding           *transform.DomainCounts
	uncopied         uncopied

	census *recordCensus // nil unless Count was called

	search outputSearch // of what sinks send
}

// Options are settings of a report.
type Options struct {
	Canaries []canary.Canary // to search for in the output, in addition to what the policy forbids

	// Masked returns how a report shows an entry of the policy. It is given the String of a
	// transform.Entry. nil: entries are shown as they are. It is for entries that the
	// configuration takes from the environment or from a file.
	Masked func(entry string) string
}

// maxNames bounds the local names that are also searched for as octets.
const maxNames = 1000

// New returns an Explainer of the effects of this policy.
func New(policy transform.Config, o Options) *Explainer {
	e := &Explainer{
		policy:           policy,
		masked:           o.Masked,
		reasons:          map[transform.Reason]*samples[Example]{},
		rules:            map[transform.Rule]*samples[RuleExample]{},
		unmatchedEntries: newUnmatchedEntries(&policy),
		learned:          learned{addrs: map[netip.Addr]bool{}},
		transactions:     transactions{forbidden: canary.NewForbidden(canary.Policy{KeepResolver: policy.KeepResolver})},
		hiding:           transform.NewDomainCounts(maxZones),
		uncopied:         uncopied{},
	}
	for _, c := range o.Canaries {
		e.search.add(c, given, asASCII(c.Text))
	}
	e.search.forbidden = canary.NewForbidden(e.forbidden())
	for _, p := range policy.Resolvers {
		if p.IsSingleIP() && !isShared(p.Addr()) {
			e.search.add(canary.OfAddr(p.Addr()), configured, p.Addr().String())
		}
	}
	return e
}

// forbidden returns what the policy forbids, for the exact search. It adds the first maxNames
// local names to the search for octets.
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
		shown := e.present(transform.Entry{Name: written})
		p.LocalNames = append(p.LocalNames, canary.Name{ALabels: name, Written: shown})
		if i < maxNames {
			e.search.add(canary.OfText(name), local, shown)
		}
	}
	return p
}

// Trace returns the Explainer, which is the trace of every lane.
func (e *Explainer) Trace(string) transform.Trace { return e }

// Verdict records the verdict on a message. It implements transform.Trace.
func (e *Explainer) Verdict(v *transform.Verdict) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if v.Message != nil {
		e.addFrame(v.Message.Frame)
	}
	if v.Reason == transform.NotOutward {
		e.drop(v)
		return
	}
	if v.Message != nil {
		e.learn(v.Message)
	}
	e.unmatchedEntries.match(v)
	e.census.take(v)
	e.hiding.Count(v.Name, v.Finding.Rule)
	e.transactions.search(v, func(a netip.Addr) bool { return e.learned.addrs[a.Unmap()] })
	switch {
	case v.Reason != transform.Kept:
		e.drop(v)
	case v.Record != nil:
		e.addExample(v)
		e.change(v)
	}
}

// drop keeps the message as an example of its drop reason, and of the rule that forbade it.
func (e *Explainer) drop(v *transform.Verdict) {
	e.addExample(v)
	if v.Finding.Rule != transform.NoRule {
		if s := sample(e.rules, v.Finding.Rule); s.wanted() {
			c := e.foundBy(v)
			s.add(c.Before, RuleExample{exampleOf(v), []Change{c}})
		}
	}
}

// addExample keeps the message as an example of its reason.
func (e *Explainer) addExample(v *transform.Verdict) {
	s := sample(e.reasons, v.Reason)
	if s.wanted() && (len(v.Name) > 0 || v.Server.IsValid()) {
		x := exampleOf(v)
		s.add(x.Name+" "+x.Type+" "+x.Server, x)
	}
}

// change keeps the message as an example of each rule that changed the record.
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

// Bounds of the resolver's addresses that are learned from messages.
const (
	maxLearned = 4096 // searched for
	maxListed  = 64   // of these, also searched for as octets, and listed
)

// learned is the resolver's addresses that messages contained.
type learned struct {
	addrs map[netip.Addr]bool
	last  [2]netip.Addr // the two latest, to skip repetitions fast
	more  bool          // there were more than maxLearned
}

// learn adds the resolver's address in a message to the searches.
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
		e.unmatchedEntries.matchResolver(a)
		e.search.learn(a, len(l.addrs) <= maxListed)
	}
}

// isShared reports whether many hosts have an address, so that it does not identify the resolver.
func isShared(a netip.Addr) bool {
	return a.IsUnspecified() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast()
}

// maxSamples is how many examples of one reason or rule are kept. After maxTries candidates no
// more are considered.
const (
	maxSamples = 3
	maxTries   = 1000
)

// samples are the first few values with different keys.
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
