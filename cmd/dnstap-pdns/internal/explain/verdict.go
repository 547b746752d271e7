package explain

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/canary"
)

// verdicts are on the canaries that were given, on the resolver's addresses, and on what
// else was found.
func (e *Explainer) verdicts() []Verdict {
	all := []Verdict{}
	listed := map[*exact]bool{}
	for _, asked := range []bool{true, false} {
		for _, w := range e.leaving.watched {
			x := e.leaving.exact.find(w.rule(), w.shown)
			quiet := w.origin == never || w.origin&^never == local && x == nil && w.loose == 0
			if !quiet && (w.origin&given != 0) == asked {
				all = append(all, e.verdict(w, x))
				listed[x] = true
			}
		}
	}
	for _, x := range e.leaving.exact.entries {
		if !listed[x] {
			all = append(all, exactVerdict(x, e.leaving.records, "output records"))
		}
	}
	for _, x := range e.transactions.exact.entries {
		all = append(all, exactVerdict(x, e.transactions.records, "records of its own transaction"))
	}
	return all
}

// exactVerdict is on an entry that is not searched for as octets.
func exactVerdict(x *exact, records uint64, of string) Verdict {
	return Verdict{
		Verdict:  fmt.Sprintf("%s %s appears in %d of %d %s", x.rule, x.entry, x.records, records, of),
		Canary:   x.entry,
		Kind:     string(x.rule),
		Resolver: x.rule == canary.Resolver,
		Told:     x.rule == canary.Resolver,
		Found:    x.records,
		Records:  records,
		Findings: sorted(x.findings),
		Notes:    []Finding{},
	}
}

// verdict is on a watched canary, and on the same as an entry if the exact search found it.
func (e *Explainer) verdict(w *watched, x *exact) Verdict {
	v := Verdict{
		Canary:     w.shown,
		Kind:       "canary",
		Given:      w.origin&given != 0,
		Told:       w.origin&messages != 0,
		Configured: w.origin&configured != 0,
		Records:    w.records,
		Findings:   []Finding{},
		Notes:      []Finding{},
	}
	v.Resolver = v.Told || v.Configured || w.Addr.IsValid() && e.isResolver(w)
	v.Kept = e.policy.KeepResolver && v.Resolver && !v.Given
	what := "canary " + strconv.QuoteToASCII(w.Text)
	switch {
	case v.Resolver:
		v.Kind, what = string(canary.Resolver), "resolver address"
	case !v.Given:
		v.Kind, what = string(canary.LocalName), string(canary.LocalName)+" "+v.Canary
	}
	if v.Given || v.Kept { // each occurrence counts
		v.Found, v.Outside = w.found, w.outside
		v.Findings = sorted(append(w.findings[:len(w.findings):len(w.findings)], w.notes...))
	} else {
		v.Loose, v.Notes = w.loose+w.outside, sorted(w.notes)
	}
	if x != nil && x.records > v.Found {
		v.Found, v.Findings = x.records, sorted(x.findings)
	}
	v.Verdict = fmt.Sprintf("%s appears in %d of %d output records", what, v.Found, v.Records)
	return v
}

// counts are how many records hold entries of each kind.
func (e *Explainer) counts() []Kind {
	l, t := &e.leaving, &e.transactions
	count := func(rule canary.Rule, entries int) Kind {
		return Kind{string(rule), entries, l.exact.records[rule], l.records}
	}
	return []Kind{
		count(canary.LocalName, len(e.policy.LocalNames)),
		count(canary.LocalNetwork, len(e.policy.LocalNetworks)),
		{string(canary.ClientSubnet), int(t.withSubnet), t.exact.records[canary.ClientSubnet], t.records},
	}
}

// asked reports whether canaries were given: the report is to prove that they are not there.
func (r *Report) asked() bool {
	return slices.ContainsFunc(r.Verdicts, func(v Verdict) bool { return v.Given })
}

// unsearched says what was not searched.
func (r *Report) unsearched() []string {
	if len(r.Output) == 0 {
		return []string{"No record came of it: nothing was searched, and nothing is proven."}
	}
	var all []string
	for _, o := range r.Output {
		if o.Unreadable > 0 {
			all = append(all, fmt.Sprintf("%d records of %s hold a message that miekg/dns does not read: "+
				"where it gives up, texts that are cut into strings are not seen in them.", o.Unreadable, o.Message))
		}
	}
	return all
}

// isResolver reports whether an address is in a configured network of the resolver.
func (e *Explainer) isResolver(w *watched) bool {
	return slices.ContainsFunc(e.policy.Resolvers, func(p netip.Prefix) bool { return p.Contains(w.Addr) })
}
