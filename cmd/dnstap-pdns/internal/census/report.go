package census

import (
	"fmt"
	"strings"
)

// A Report is the counts of a Census. As JSON the names below are stable.
//
//	{
//	  "names", "texts", "records", "names_sampled", "texts_sampled", "masked",
//	  "kinds": [{"kind", "meaning", "names", "names_share", "texts", "records", "records_share", "zones", "examples": [TEXT]}]
//	}
//
// Shares are between 0 and 1, of all names and of all records. One in names_sampled names and one
// in texts_sampled texts was counted: if that is more than 1, the numbers of names and texts are
// estimates. The numbers of records are exact, except for disposable zones, where they are
// estimated from the names.
type Report struct {
	Names        uint64       `json:"names"` // different ones
	Texts        uint64       `json:"texts"` // different ones
	Records      uint64       `json:"records"`
	NamesSampled uint64       `json:"names_sampled"`
	TextsSampled uint64       `json:"texts_sampled"`
	Masked       bool         `json:"masked"` // the examples
	Kinds        []KindCounts `json:"kinds"`  // every kind
}

// A KindCounts is the counts of one kind of names and texts.
type KindCounts struct {
	Kind         string   `json:"kind"`
	Meaning      string   `json:"meaning"`
	Names        uint64   `json:"names"`
	NamesShare   float64  `json:"names_share"`
	Texts        uint64   `json:"texts"`
	Records      uint64   `json:"records"`
	RecordsShare float64  `json:"records_share"`
	Zones        uint64   `json:"zones"` // disposable ones
	Examples     []string `json:"examples"`
}

// Report returns the counts. Examples are masked unless plain.
func (c *Census) Report(plain bool) *Report {
	every := func(*entry) bool { return true }
	r := &Report{
		Names: c.names.count(every), Texts: c.texts.count(every), Records: c.records,
		NamesSampled: c.names.oneIn(), TextsSampled: c.texts.oneIn(),
		Masked: !plain,
	}
	for k := range numKinds {
		is := func(e *entry) bool { return e.kinds.has(k) }
		n := KindCounts{
			Kind: k.String(), Meaning: kindTable[k].meaning,
			Names: c.names.count(is), Texts: c.texts.count(is), Records: c.found[k].records,
			Examples: []string{},
		}
		examples := c.found[k].examples
		if k == disposable {
			domains, total := c.names.disposableZones()
			n.Names, n.Records, n.Zones = total.once, total.queries, uint64(len(domains))
			for _, domain := range domains[:min(len(domains), maxExamples)] {
				examples = append(examples, example{domain, parseName(domain).masked()})
			}
		}
		for _, x := range examples {
			if plain {
				n.Examples = append(n.Examples, x.plain)
			} else {
				n.Examples = append(n.Examples, x.masked)
			}
		}
		n.NamesShare, n.RecordsShare = share(n.Names, r.Names), share(n.Records, r.Records)
		r.Kinds = append(r.Kinds, n)
	}
	return r
}

func share(part, all uint64) float64 {
	if all == 0 {
		return 0
	}
	return min(1, float64(part)/float64(all))
}

// Text returns the report for people.
func (r *Report) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s%d different names and %d different texts in %d records were examined, by their spelling.\n",
		about(max(r.NamesSampled, r.TextsSampled)), r.Names, r.Texts, r.Records)
	if r.Masked {
		b.WriteString("Examples are masked above the registered domain, letters as x, digits as 0; --examples shows them.\n")
	}
	var none []string
	for i := range r.Kinds {
		k := &r.Kinds[i]
		if k.Names+k.Texts+k.Records == 0 {
			none = append(none, k.Kind)
			continue
		}
		k.write(&b, r)
	}
	if len(none) > 0 {
		fmt.Fprintf(&b, "\nNone found: %s\n", strings.Join(none, ", "))
	}
	return b.String()
}

func (k *KindCounts) write(b *strings.Builder, r *Report) {
	fmt.Fprintf(b, "\n%s: %s\n  %s%d names (%.1f %%)", k.Kind, k.Meaning, about(r.NamesSampled), k.Names, 100*k.NamesShare)
	if k.Texts > 0 {
		fmt.Fprintf(b, ", %s%d texts", strings.ToLower(about(r.TextsSampled)), k.Texts)
	}
	if k.Zones > 0 {
		fmt.Fprintf(b, " below %d domains", k.Zones)
	}
	fmt.Fprintf(b, ", in %d records (%.1f %%)\n", k.Records, 100*k.RecordsShare)
	for _, x := range k.Examples {
		fmt.Fprintf(b, "    %s\n", x)
	}
}

// about returns the prefix of an estimated number, or "" if every name or text was counted. One in
// sampled was.
func about(sampled uint64) string {
	if sampled > 1 {
		return "About "
	}
	return ""
}
