package explain

import (
	"cmp"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/shortage"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/packet"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// Report returns the report. It is called after lanes and sinks have ended. The counts are of all
// lanes.
func (e *Explainer) Report(c *transform.Counts, from Origin) Report {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.search.mu.Lock()
	defer e.search.mu.Unlock()
	r := Report{
		Notice:        Notice,
		Version:       asASCII(from.Version),
		Command:       commandLine(from.Command),
		Configuration: asASCII(from.Configuration),
		Inputs:        []Input{},
		Problems:      []string{},

		Messages:     Messages{c.Read, c.Records, c.Paired, c.Held, examples(e.reasons[transform.Kept])},
		Unmatched:    e.unmatched(),
		MostDropped:  topZones(e.hiding),
		NeverCopied:  e.neverCopied(),
		Output:       e.search.report(),
		Verdicts:     e.verdicts(),
		Forbidden:    e.kinds(),
		ResolverMore: e.learned.more,
		Census:       e.census.report(),

		Few:              append([]shortage.Cause{}, from.Causes...),
		Packets:          packetCounts(from.Packets),
		ResolverUnlisted: max(0, len(e.learned.addrs)-maxListed),
		ResolverNetworks: []string{},
	}
	dropped, scrubbed := c.Account().Lost, c.Scrubbing()
	for i, reason := range transform.Reasons() {
		row := dropped.Rows[i]
		r.Dropped = append(r.Dropped, Reason{row.Name, row.Meaning, row.Value, examples(e.reasons[reason])})
	}
	for i, rule := range transform.Rules() {
		row := scrubbed.Rows[i]
		shown := Rule{Rule: row.Name, Meaning: row.Meaning, Records: row.Value, Examples: examples(e.rules[rule])}
		if reason := rule.ForbidsAs(); reason != transform.Kept {
			shown.Forbids = reason.String()
		}
		r.Rules = append(r.Rules, shown)
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
	for _, err := range e.search.errs {
		r.Problems = append(r.Problems, asASCII(err.Error()))
	}
	if r.canariesGiven() {
		r.Problems = append(r.Problems, r.unsearched()...)
	}
	r.Found = slices.ContainsFunc(r.Verdicts, func(v Verdict) bool { return v.Found+v.Outside > 0 && !v.Kept }) ||
		slices.ContainsFunc(r.Forbidden, func(k Kind) bool { return k.Found > 0 })
	return r
}

// packetCounts returns the counts that are not 0.
func packetCounts(s *packet.Stats) []PacketCount {
	all := []PacketCount{}
	if s == nil {
		return all
	}
	for _, row := range s.Rows() {
		if row.Value > 0 {
			all = append(all, PacketCount{row.Name, row.Meaning, row.Value})
		}
	}
	return all
}

func examples[T any](s *samples[T]) []T {
	if s == nil {
		return []T{}
	}
	return append([]T{}, s.all...)
}

// maxEntries bounds how many entries of the configuration are listed.
const maxEntries = 1000

// present returns an entry as a report shows it: masked if its value is secret, in ASCII.
func (e *Explainer) present(entry transform.Entry) string {
	s := entry.String()
	if s != "" && e.masked != nil {
		s = e.masked(s)
	}
	return asASCII(s)
}

// unmatched returns the entries that nothing matched, up to maxEntries.
func (e *Explainer) unmatched() []Entry {
	all := []Entry{}
	add := func(attribute string, entry transform.Entry) {
		all = append(all, Entry{attribute, e.present(entry)})
	}
	for _, name := range slices.Sorted(maps.Values(e.unmatchedEntries.names)) {
		add("scrub.local_names", transform.Entry{Name: name})
	}
	for _, p := range e.unmatchedEntries.networks {
		add("scrub.local_networks", transform.Entry{Prefix: p})
	}
	for _, p := range e.unmatchedEntries.resolvers {
		add("scrub.resolvers", transform.Entry{Prefix: p})
	}
	return all[:min(len(all), maxEntries)]
}

// asASCII returns a text that is not printable ASCII as a Go string literal.
func asASCII(s string) string {
	quoted := strconv.QuoteToASCII(s)
	if quoted == `"`+s+`"` {
		return s
	}
	return quoted
}

func (s *outputSearch) report() []Output {
	all := []Output{}
	for _, o := range s.outputs {
		all = append(all, Output{o.message, o.records, o.containers, o.octets, o.unreadable, hex.EncodeToString(o.sum.Sum(nil))})
	}
	slices.SortFunc(all, func(a, b Output) int { return cmp.Compare(a.Message, b.Message) })
	return all
}
