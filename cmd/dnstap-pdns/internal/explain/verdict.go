package explain

import (
	"encoding/hex"
	"fmt"
	"hash"
	"slices"
	"strconv"
)

func hexSum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

// verdicts are those that were asked for, then the resolver's addresses.
func (e *Explainer) verdicts() []Verdict {
	all := []Verdict{}
	for _, asked := range []bool{true, false} {
		for _, w := range e.leaving.watched {
			if w.origin&(given|configured|messages) != 0 && (w.origin&given != 0) == asked {
				all = append(all, e.verdict(w))
			}
		}
	}
	return all
}

func (e *Explainer) verdict(w *watched) Verdict {
	v := Verdict{
		Canary:     asASCII(w.Text),
		Given:      w.origin&given != 0,
		Told:       w.origin&messages != 0,
		Configured: w.origin&configured != 0,
		Found:      w.found,
		Records:    w.records,
		Outside:    w.outside,
		Findings:   w.sorted(),
	}
	v.Resolver = v.Told || v.Configured || w.Addr.IsValid() && e.isResolver(w)
	v.Kept = e.policy.KeepResolver && !v.Given
	what := "resolver address"
	if !v.Resolver {
		what = "canary " + strconv.QuoteToASCII(w.Text)
	}
	v.Verdict = fmt.Sprintf("%s appears in %d of %d output records", what, v.Found, v.Records)
	return v
}

// asked reports whether somebody asked for something: the report is to prove that it is
// not there.
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

// isResolver reports whether an address is in a network of the resolver's.
func (e *Explainer) isResolver(w *watched) bool {
	for _, p := range e.policy.Resolvers {
		if p.Contains(w.Addr) {
			return true
		}
	}
	return false
}
