package explain

import (
	"cmp"
	"slices"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/canary"
)

// maxExact bounds the entries of which findings are kept.
const maxExact = 1000

// exacts are the forbidden items that were found, in exactly the forms and places in which
// they are forbidden.
type exacts struct {
	entries []*exact
	records map[canary.Rule]uint64 // output records in which a rule's items were found
}

// An exact is an entry that was found.
type exact struct {
	rule     canary.Rule
	entry    string
	records  uint64
	findings []Finding
}

// kind is the rule that forbids an entry, in a foreign name too.
func kind(r canary.Rule) canary.Rule {
	if r == canary.LocalNameInside {
		return canary.LocalName
	}
	return r
}

// note counts the hits of one record, and keeps the first of each entry; at is a finding
// that has the record only.
func (x *exacts) note(hits []canary.Hit, at Finding) {
	if len(hits) == 0 {
		return
	}
	if x.records == nil {
		x.records = map[canary.Rule]uint64{}
	}
	rules, seen := map[canary.Rule]bool{}, map[*exact]bool{}
	for _, h := range hits {
		if rule := kind(h.Rule); !rules[rule] {
			rules[rule] = true
			x.records[rule]++
		}
		e := x.entry(kind(h.Rule), h.Entry)
		if e == nil || seen[e] {
			continue
		}
		seen[e] = true
		e.records++
		if shown(e.findings, at.Message) < maxFindings {
			f := at
			f.Form, f.Place, f.Where = h.Form, string(h.Place), h.Where
			if h.Rule == canary.LocalNameInside {
				f.Form += " inside a foreign name"
			}
			e.findings = append(e.findings, f)
		}
	}
}

// entry returns what was found of an entry; nil if there are too many entries.
func (x *exacts) entry(rule canary.Rule, entry string) *exact {
	if e := x.find(rule, entry); e != nil || len(x.entries) == maxExact {
		return e
	}
	e := &exact{rule: rule, entry: entry}
	x.entries = append(x.entries, e)
	return e
}

func (x *exacts) find(rule canary.Rule, entry string) *exact {
	for _, e := range x.entries {
		if e.rule == rule && e.entry == entry {
			return e
		}
	}
	return nil
}

// found reports whether one of a record's hits is of an entry.
func found(hits []canary.Hit, rule canary.Rule, entry string) bool {
	return slices.ContainsFunc(hits, func(h canary.Hit) bool { return kind(h.Rule) == rule && h.Entry == entry })
}

// shown is how many findings in this message type are kept.
func shown(all []Finding, message string) int {
	n := 0
	for i := range all {
		if all[i].Message == message {
			n++
		}
	}
	return n
}

// sorted orders findings by message type, because the order of sinks differs from run to run.
func sorted(findings []Finding) []Finding {
	all := append([]Finding{}, findings...)
	slices.SortStableFunc(all, func(a, b Finding) int { return cmp.Compare(a.Message, b.Message) })
	return all
}
