package explain

import (
	"cmp"
	"maps"
	"slices"
	"strconv"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// Report tells what has been gathered, when lanes and sinks have ended. The counts are
// all lanes'.
func (e *Explainer) Report(c *transform.Counts, from Origin) Report {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.leaving.mu.Lock()
	defer e.leaving.mu.Unlock()
	r := Report{
		Notice:        Notice,
		Version:       asASCII(from.Version),
		Command:       commandLine(from.Command),
		Configuration: asASCII(from.Configuration),
		Inputs:        []Input{},
		Problems:      []string{},

		Messages:     Messages{c.Read, c.Records, c.Paired, c.Held, examples(e.reasons[transform.Kept])},
		Unmatched:    e.entries.unmatched(),
		NeverCopied:  e.neverCopied(),
		Output:       e.leaving.report(),
		Verdicts:     e.verdicts(),
		ResolverMore: e.told.more,
		Census:       e.counting.report(),

		ResolverNetworks: []string{},
	}
	for _, reason := range transform.Reasons() {
		r.Dropped = append(r.Dropped, Reason{reason.String(), reason.Meaning(), c.Dropped[reason], examples(e.reasons[reason])})
	}
	for _, rule := range transform.Rules() {
		r.Rules = append(r.Rules, ruleOf(rule, c, examples(e.rules[rule])))
	}
	for _, p := range e.policy.Resolvers {
		if !p.IsSingleIP() {
			r.ResolverNetworks = append(r.ResolverNetworks, p.String())
		}
	}
	for _, in := range from.Inputs {
		in.Name = asASCII(in.Name)
		r.Inputs = append(r.Inputs, in)
	}
	for _, p := range from.Problems {
		r.Problems = append(r.Problems, asASCII(p))
	}
	for _, err := range e.leaving.errs {
		r.Problems = append(r.Problems, asASCII(err.Error()))
	}
	if r.asked() {
		r.Problems = append(r.Problems, r.unsearched()...)
	}
	r.Found = slices.ContainsFunc(r.Verdicts, func(v Verdict) bool { return v.Found+v.Outside > 0 && !v.Kept })
	return r
}

func ruleOf(rule transform.Rule, c *transform.Counts, examples []RuleExample) Rule {
	r := Rule{Rule: rule.String(), Meaning: rule.Meaning(), Records: c.Scrubbed[rule], Examples: examples}
	if reason := rule.Forbids(); reason != transform.Kept {
		r.Forbids = reason.String()
	}
	return r
}

func examples[T any](s *samples[T]) []T {
	if s == nil {
		return []T{}
	}
	return append([]T{}, s.all...)
}

// maxEntries bounds how many entries of the configuration are told.
const maxEntries = 1000

func (e *entries) unmatched() []Entry {
	all := []Entry{}
	for _, name := range slices.Sorted(maps.Values(e.names)) {
		all = append(all, Entry{"scrub.local_names", asASCII(name)})
	}
	for _, p := range e.networks {
		all = append(all, Entry{"scrub.local_networks", p.String()})
	}
	for _, a := range e.resolvers {
		all = append(all, Entry{"scrub.resolvers", a.String()})
	}
	return all[:min(len(all), maxEntries)]
}

// asASCII writes what is not printable ASCII as Go does.
func asASCII(s string) string {
	quoted := strconv.QuoteToASCII(s)
	if quoted == `"`+s+`"` {
		return s
	}
	return quoted
}

func (l *leaving) report() []Output {
	all := []Output{}
	for _, o := range l.outputs {
		all = append(all, Output{o.message, o.records, o.containers, o.octets, o.unreadable, hexSum(o.sum)})
	}
	slices.SortFunc(all, func(a, b Output) int { return cmp.Compare(a.Message, b.Message) })
	return all
}

func (e *Explainer) neverCopied() []Beside {
	all := []Beside{}
	for _, name := range slices.Sorted(maps.Keys(e.beside)) {
		f := e.beside[name]
		for _, v := range f.values {
			b := Beside{Field: name, Value: octets(v.value), Frames: v.frames, Findings: []Finding{}}
			if w := e.leaving.find(string(v.value)); w != nil {
				b.Searched, b.Found = w.Searchable(), w.found
				b.Findings = w.sorted()
			}
			all = append(all, b)
		}
		if f.more {
			all = append(all, Beside{Field: name, Value: "other values too", Findings: []Finding{}})
		}
	}
	return all
}

func (l *leaving) find(text string) *watched {
	for _, w := range l.watched {
		if w.Text == text {
			return w
		}
	}
	return nil
}
