package forward

import (
	"fmt"
	"slices"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
	"github.com/dnstap-pdns/dnstap-pdns/transform/rrset"
)

// A Filter narrows the records or RRsets that a sink gets. The zero Filter accepts all.
type Filter struct {
	Names       []string // suffixes of the query name or owner, without the final dot; empty: all
	ExceptNames []string // the same
	Types       []uint16 // query types, or types of RRsets; empty: all
	RCodes      []uint16 // empty: all; otherwise no unanswered query passes. RRsets have none
}

// A FilterRule is the reason why a sink did not take a record. The first that applies counts.
type FilterRule uint8

const (
	ByFormat FilterRule = iota
	ByNames
	ByExceptNames
	ByTypes
	ByRCodes
	numFilterRules
	accepted = numFilterRules // no rule applies
)

// FilterRules lists every rule in order.
func FilterRules() []FilterRule {
	return []FilterRule{ByFormat, ByNames, ByExceptNames, ByTypes, ByRCodes}
}

// String returns the rule's name as ledgers, metrics and documentation show it.
func (r FilterRule) String() string {
	if r >= numFilterRules {
		return "unknown"
	}
	return filterRules[r].name
}

// Meaning returns one sentence for people.
func (r FilterRule) Meaning() string {
	if r >= numFilterRules {
		return ""
	}
	return filterRules[r].meaning
}

var filterRules = [numFilterRules]struct{ name, meaning string }{
	ByFormat:      {"format", "the format cannot represent it"},
	ByNames:       {"names", "its query name is below none of the sink's names"},
	ByExceptNames: {"except_names", "its query name is below one of the sink's except_names"},
	ByTypes:       {"types", "its query type is none of the sink's types"},
	ByRCodes:      {"rcodes", "its rcode is none of the sink's rcodes, or it has no response"},
}

// FilterCounts is the number of filtered records by FilterRule.
type FilterCounts [numFilterRules]uint64

func (c *FilterCounts) add(o *FilterCounts) {
	for rule, n := range o {
		c[rule] += n
	}
}

// Sum returns the number of all filtered records.
func (c *FilterCounts) Sum() uint64 {
	var sum uint64
	for _, n := range c {
		sum += n
	}
	return sum
}

// Group returns a row for each rule.
func (c *FilterCounts) Group() transform.Group {
	g := transform.Group{Name: "filtered_by", Metric: "sink_records_filtered_by_total", Label: "rule", Meaning: "records that the sink did not take, by the rule"}
	for _, r := range FilterRules() {
		g.Rows = append(g.Rows, transform.Row{Name: r.String(), Meaning: r.Meaning(), Value: c[r]})
	}
	return g
}

// A filter is a compiled Filter.
type filter struct {
	names, except suffixes
	types, rcodes []uint16
}

// newFilter compiles a Filter.
func newFilter(f *Filter) (c filter, err error) {
	if c.names, err = newSuffixes(f.Names); err != nil {
		return c, fmt.Errorf("names: %w", err)
	}
	if c.except, err = newSuffixes(f.ExceptNames); err != nil {
		return c, fmt.Errorf("except_names: %w", err)
	}
	c.types, c.rcodes = f.Types, f.RCodes
	return c, nil
}

// judge returns the first rule that the record does not pass, or accepted.
func (f *filter) judge(r *transform.Record) FilterRule {
	rule := f.judgeName(r.Name, r.Type)
	if rule == accepted && len(f.rcodes) > 0 && !(r.HasResponse && slices.Contains(f.rcodes, uint16(r.Rcode))) {
		return ByRCodes
	}
	return rule
}

// judgeRRset returns the first rule that the RRset does not pass, or accepted. Names are those of
// owners, types those of RRsets.
func (f *filter) judgeRRset(a *rrset.Aggregate) FilterRule { return f.judgeName(a.Name, a.Type) }

func (f *filter) judgeName(name []byte, typ uint16) FilterRule {
	switch {
	case len(f.names.names) > 0 && !f.names.match(name):
		return ByNames
	case f.except.match(name):
		return ByExceptNames
	case len(f.types) > 0 && !slices.Contains(f.types, typ):
		return ByTypes
	}
	return accepted
}

// suffixes is a set of names in wire form, lowercase.
type suffixes struct {
	names   map[string]struct{}
	lengths [maxName + 1]bool // of names: most suffixes of a record's name have another length
}

const maxName = 255 // bytes of the longest name in wire form

func newSuffixes(names []string) (s suffixes, err error) {
	s.names = make(map[string]struct{}, len(names))
	for _, name := range names {
		wire := make([]byte, maxName)
		n, err := dns.PackDomainName(dns.Fqdn(name), wire, 0, nil, false)
		if err != nil {
			return s, fmt.Errorf("%q is not a domain name: %w", name, err)
		}
		for i, c := range wire[:n] {
			if 'A' <= c && c <= 'Z' { // the length of a label is less
				wire[i] += 'a' - 'A'
			}
		}
		s.names[string(wire[:n])] = struct{}{}
		s.lengths[n] = true
	}
	return s, nil
}

// match reports whether name, in wire form and lowercase, is one of the names or below one.
func (s *suffixes) match(name []byte) bool {
	for len(name) > 0 && len(s.names) > 0 {
		if len(name) <= maxName && s.lengths[len(name)] {
			if _, ok := s.names[string(name)]; ok {
				return true
			}
		}
		name = name[min(1+int(name[0]), len(name)):]
	}
	return false
}
