package explain

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/canary"
)

// verdicts returns the verdicts on the canaries that were given, on the resolver's addresses, and
// on other items that were found.
func (e *Explainer) verdicts() []Verdict {
	all := []Verdict{}
	listed := map[*foundEntry]bool{}
	for _, givenFirst := range []bool{true, false} {
		for _, t := range e.search.targets {
			x := e.search.exact.find(t.rule(), t.shown)
			unlisted := t.origin == never || t.origin&^never == local && x == nil && t.loose == 0
			if !unlisted && (t.origin&given != 0) == givenFirst {
				all = append(all, e.verdict(t, x))
				listed[x] = true
			}
		}
	}
	for _, x := range e.search.exact.entries {
		if !listed[x] {
			all = append(all, exactVerdict(x, e.search.records, "output records"))
		}
	}
	for _, x := range e.transactions.exact.entries {
		all = append(all, exactVerdict(x, e.transactions.records, "records of its own transaction"))
	}
	return all
}

// exactVerdict returns the verdict on an entry that is not searched for as octets. records is how
// many records were searched, and of their description.
func exactVerdict(x *foundEntry, records uint64, of string) Verdict {
	return Verdict{
		Verdict:    fmt.Sprintf("%s %s appears in %d of %d %s", x.rule, x.entry, x.records, records, of),
		Canary:     x.entry,
		Kind:       string(x.rule),
		Resolver:   x.rule == canary.Resolver,
		InMessages: x.rule == canary.Resolver,
		Found:      x.records,
		Records:    records,
		Findings:   sorted(x.findings),
		Notes:      []Finding{},
	}
}

// verdict returns the verdict on a target; x is the same item if the exact search found it, or
// nil.
func (e *Explainer) verdict(t *target, x *foundEntry) Verdict {
	v := Verdict{
		Canary:     t.shown,
		Kind:       "canary",
		Given:      t.origin&given != 0,
		InMessages: t.origin&messages != 0,
		Configured: t.origin&configured != 0,
		Records:    t.records,
		Findings:   []Finding{},
		Notes:      []Finding{},
	}
	v.Resolver = v.InMessages || v.Configured || t.Addr.IsValid() && e.isResolver(t)
	v.Kept = e.policy.KeepResolver && v.Resolver && !v.Given
	what := "canary " + strconv.QuoteToASCII(t.Text)
	switch {
	case v.Resolver:
		v.Kind, what = string(canary.Resolver), "resolver address"
	case !v.Given:
		v.Kind, what = string(canary.LocalName), string(canary.LocalName)+" "+v.Canary
	}
	if v.Given || v.Kept { // each occurrence counts
		v.Found, v.Outside = t.found, t.outside
		v.Findings = sorted(append(t.findings[:len(t.findings):len(t.findings)], t.notes...))
	} else {
		v.Loose, v.Notes = t.loose+t.outside, sorted(t.notes)
	}
	if x != nil && x.records > v.Found {
		v.Found, v.Findings = x.records, sorted(x.findings)
	}
	v.Verdict = fmt.Sprintf("%s appears in %d of %d output records", what, v.Found, v.Records)
	return v
}

// kinds returns in how many records entries of each kind were found.
func (e *Explainer) kinds() []Kind {
	l, t := &e.search, &e.transactions
	count := func(rule canary.Rule, entries int) Kind {
		return Kind{string(rule), entries, l.exact.records[rule], l.records}
	}
	return []Kind{
		count(canary.LocalName, len(e.policy.LocalNames)),
		count(canary.LocalNetwork, len(e.policy.LocalNetworks)),
		{string(canary.ClientSubnet), int(t.withSubnet), t.exact.records[canary.ClientSubnet], t.records},
	}
}

// canariesGiven reports whether canaries were given, whose absence the report is to prove.
func (r *Report) canariesGiven() bool {
	return slices.ContainsFunc(r.Verdicts, func(v Verdict) bool { return v.Given })
}

// unsearched returns a sentence for each part of the output that was not or not fully searched.
func (r *Report) unsearched() []string {
	if len(r.Output) == 0 {
		return []string{"No record was sent: nothing was searched, and nothing is proven."}
	}
	var all []string
	for _, o := range r.Output {
		if o.Unreadable > 0 {
			all = append(all, fmt.Sprintf("%d records of %s hold a message that miekg/dns does not read: "+
				"texts that are divided into character-strings may have been missed in them.", o.Unreadable, o.Message))
		}
	}
	return all
}

// isResolver reports whether the address of a target is in a configured network of the resolver.
func (e *Explainer) isResolver(t *target) bool {
	return slices.ContainsFunc(e.policy.Resolvers, func(p netip.Prefix) bool { return p.Contains(t.Addr) })
}
