package explain

import (
	"cmp"
	"maps"
	"slices"
	"strconv"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// Report is all that an Explainer tells. As JSON the names below are stable, others may
// be added; every list is there, be it empty, but for what "omitempty" leaves out.
//
//	{
//	  "notice",
//	  "version", "command", "configuration", "inputs": [{"name", "octets", "sha256"}], "problems": [TEXT],
//	  "messages":  {"read", "records", "paired", "held"},
//	  "dropped":   [{"reason", "meaning", "messages", "examples": [EXAMPLE]}],
//	  "rules":     [{"rule", "meaning", "forbids", "records", "examples": [EXAMPLE and "changes": [CHANGE]]}],
//	  "unmatched": [{"attribute", "value"}],
//	  "never_copied": [{"field", "value", "frames", "searched", "found", "findings": [FINDING]}],
//	  "output":    [{"message", "records", "containers", "octets", "unreadable", "sha256"}],
//	  "verdicts":  [{"verdict", "canary", "resolver", "given", "told", "configured", "kept", "found", "records",
//	                 "outside", "findings": [FINDING]}],
//	  "resolver_networks": [PREFIX], "resolver_more",
//	  "found"
//	}
//
// EXAMPLE is {"name", "type", "server", "time", "response"}. CHANGE is {"what", "before",
// "after", "from", "to", "before_hex", "after_hex"}: octets of the message from the one to
// before the other. FINDING is {"message", "record", "form", "place", "offset", "text"},
// the record's number counted from 1 in its message type. Texts are printable ASCII, but
// for line ends in that of a finding.
//
// In messages, read = records + paired + held + the sum of dropped. The sum of sha256 in
// output is over the records (NmsgPayload messages), one behind the other: the containers
// around them bear a number that is drawn anew each time.
type Report struct {
	Notice        string   `json:"notice"`
	Version       string   `json:"version"`
	Command       string   `json:"command"`
	Configuration string   `json:"configuration"`
	Inputs        []Input  `json:"inputs"`
	Problems      []string `json:"problems"` // for which this is not the whole truth

	Messages  Messages `json:"messages"`
	Dropped   []Reason `json:"dropped"` // every reason that there is, in the order of transform.Reasons
	Rules     []Rule   `json:"rules"`   // every rule that there is, in the order of transform.Rules
	Unmatched []Entry  `json:"unmatched"`

	NeverCopied []Beside  `json:"never_copied"`
	Output      []Output  `json:"output"`
	Verdicts    []Verdict `json:"verdicts"` // those that were asked for, then the resolver's addresses

	// Of the resolver's addresses, those that are not searched for one by one: networks,
	// and more than are remembered.
	ResolverNetworks []string `json:"resolver_networks"`
	ResolverMore     bool     `json:"resolver_more"`

	Found bool `json:"found"` // what must not be there is there: exit status 3
}

// Notice is what whoever gets a report must know first.
const Notice = "This report shows what scrubbing takes out: names, addresses and times as they were before. " +
	"Keep it as you keep the input."

// Input is one that was read, or as much of it as there was.
type Input struct {
	Name   string `json:"name"`
	Octets uint64 `json:"octets"`
	SHA256 string `json:"sha256,omitempty"` // none of a socket
}

// Messages accounts for what was read.
type Messages struct {
	Read    uint64 `json:"read"`
	Records uint64 `json:"records"`
	Paired  uint64 `json:"paired"`
	Held    uint64 `json:"held"`
}

// Reason is why messages made no record.
type Reason struct {
	Reason   string    `json:"reason"`
	Meaning  string    `json:"meaning"`
	Messages uint64    `json:"messages"`
	Examples []Example `json:"examples"`
}

// Example is a message.
type Example struct {
	Name     string `json:"name,omitempty"` // of the question
	Type     string `json:"type,omitempty"`
	Server   string `json:"server,omitempty"`
	Time     string `json:"time,omitempty"`
	Response bool   `json:"response"`
}

// Rule is a scrub rule.
type Rule struct {
	Rule     string        `json:"rule"`
	Meaning  string        `json:"meaning"`
	Forbids  string        `json:"forbids,omitempty"` // the reason; empty: it changes
	Records  uint64        `json:"records"`           // that it changed, or forbade
	Examples []RuleExample `json:"examples"`
}

// RuleExample is a message, and what a rule did with it.
type RuleExample struct {
	Example
	Changes []Change `json:"changes"`
}

// Change is what stood somewhere, and what has come in its place.
type Change struct {
	What      string `json:"what"`
	Before    string `json:"before,omitempty"`
	After     string `json:"after,omitempty"`
	From      int    `json:"from"` // octets of the message; both 0: beside it
	To        int    `json:"to"`
	BeforeHex string `json:"before_hex,omitempty"`
	AfterHex  string `json:"after_hex,omitempty"`
}

// Entry is what is written in the configuration and matched nothing.
type Entry struct {
	Attribute string `json:"attribute"`
	Value     string `json:"value"`
}

// Beside is a value that frames told beside their message. That its octets are found means
// less than with others: they may be part of any name.
type Beside struct {
	Field    string    `json:"field"`
	Value    string    `json:"value"`
	Frames   uint64    `json:"frames"`
	Searched bool      `json:"searched"` // false: too short
	Found    uint64    `json:"found"`    // output records
	Findings []Finding `json:"findings"`
}

// Output is the records of one message type.
type Output struct {
	Message    string `json:"message"`
	Records    uint64 `json:"records"`
	Containers uint64 `json:"containers"`
	Octets     uint64 `json:"octets"`
	Unreadable uint64 `json:"unreadable"` // records with a message that miekg/dns does not read: searched as they stand
	SHA256     string `json:"sha256"`
}

// Verdict is whether a canary is in what left.
type Verdict struct {
	Verdict    string    `json:"verdict"` // in one line
	Canary     string    `json:"canary"`
	Resolver   bool      `json:"resolver"` // its address: as messages or the configuration tell
	Given      bool      `json:"given"`
	Told       bool      `json:"told"`
	Configured bool      `json:"configured"`
	Kept       bool      `json:"kept"`    // the policy keeps it, and nobody asked for it: found, it is no fault
	Found      uint64    `json:"found"`   // output records
	Records    uint64    `json:"records"` // of so many: those since it was known
	Outside    uint64    `json:"outside"` // containers in which it stands beside the records
	Findings   []Finding `json:"findings"`
}

// Finding is where a canary was found.
type Finding struct {
	Message string `json:"message"`
	Record  uint64 `json:"record"`
	Form    string `json:"form"`
	Place   string `json:"place"`
	Offset  int    `json:"offset"`
	Text    string `json:"text"`
}

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

		Messages:     Messages{c.Read, c.Records, c.Paired, c.Held},
		Unmatched:    e.entries.unmatched(),
		NeverCopied:  e.neverCopied(),
		Output:       e.leaving.report(),
		Verdicts:     e.verdicts(),
		ResolverMore: e.told.more,

		ResolverNetworks: []string{},
	}
	for _, reason := range transform.Reasons() {
		r.Dropped = append(r.Dropped, Reason{reason.String(), reason.Meaning(), c.Dropped[reason], examples(e.reasons[reason])})
	}
	for _, rule := range transform.Rules() {
		r.Rules = append(r.Rules, ruleOf(rule, c, examples(e.rules[rule])))
	}
	for _, p := range e.policy.ResolverNetworks {
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
				b.Findings = append(b.Findings, w.findings...)
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
