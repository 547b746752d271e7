package explain

import (
	"cmp"
	"slices"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/canary"
)

// maxExact bounds the entries with findings.
const maxExact = 1000

// exactFindings are the forbidden items that were found, in exactly the forms and places in
// which they are forbidden.
type exactFindings struct {
	entries []*foundEntry
	records map[canary.Rule]uint64 // output records in which a rule's items were found
}

// A foundEntry is an entry that was found.
type foundEntry struct {
	rule     canary.Rule
	entry    string
	records  uint64
	findings []Finding
}

// kind returns the rule by which hits are counted: a local name inside a foreign name counts as a
// local name.
func kind(r canary.Rule) canary.Rule {
	if r == canary.LocalNameInside {
		return canary.LocalName
	}
	return r
}

// add counts the hits in one record, and keeps the first hit of each entry as a finding. at is
// this finding without its form and place.
func (x *exactFindings) add(hits []canary.Hit, at Finding) {
	if len(hits) == 0 {
		return
	}
	if x.records == nil {
		x.records = map[canary.Rule]uint64{}
	}
	rules, seen := map[canary.Rule]bool{}, map[*foundEntry]bool{}
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
		if findingsIn(e.findings, at.Message) < maxFindings {
			f := at
			f.Form, f.Place, f.Where = h.Form, string(h.Place), h.Where
			if h.Rule == canary.LocalNameInside {
				f.Form += " inside a foreign name"
			}
			e.findings = append(e.findings, f)
		}
	}
}

// entry returns the findings of an entry, which it adds if there are none; nil if there are too
// many entries.
func (x *exactFindings) entry(rule canary.Rule, entry string) *foundEntry {
	if e := x.find(rule, entry); e != nil || len(x.entries) == maxExact {
		return e
	}
	e := &foundEntry{rule: rule, entry: entry}
	x.entries = append(x.entries, e)
	return e
}

func (x *exactFindings) find(rule canary.Rule, entry string) *foundEntry {
	for _, e := range x.entries {
		if e.rule == rule && e.entry == entry {
			return e
		}
	}
	return nil
}

// found reports whether hits contains a hit of an entry.
func found(hits []canary.Hit, rule canary.Rule, entry string) bool {
	return slices.ContainsFunc(hits, func(h canary.Hit) bool { return kind(h.Rule) == rule && h.Entry == entry })
}

// findingsIn returns how many of the findings are in records of this message type.
func findingsIn(all []Finding, message string) int {
	n := 0
	for i := range all {
		if all[i].Message == message {
			n++
		}
	}
	return n
}

// sorted returns findings in the order of message types, because the order of sinks differs from
// run to run.
func sorted(findings []Finding) []Finding {
	all := append([]Finding{}, findings...)
	slices.SortStableFunc(all, func(a, b Finding) int { return cmp.Compare(a.Message, b.Message) })
	return all
}
