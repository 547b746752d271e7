package explain

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/canary"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// WriteJSON writes the report as one JSON document.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// WriteText writes the report for people. If octets is true, it contains the changed octets of
// messages too.
func (r *Report) WriteText(w io.Writer, octets bool) error {
	t := &text{octets: octets}
	t.line("%s", r.Notice)
	t.verdicts(r)
	t.few(r)
	t.messages(r)
	t.packets(r.Packets)
	t.rules(r)
	t.census(r.Census)
	t.hiding(r.MostDropped)
	t.neverCopied(r.NeverCopied)
	t.configuration(r)
	t.reproduce(r)
	_, err := io.WriteString(w, t.b.String())
	return err
}

// text is the text of a report, to which its methods append.
type text struct {
	b      strings.Builder
	octets bool
}

func (t *text) line(format string, args ...any) {
	fmt.Fprintf(&t.b, format+"\n", args...)
}

func (t *text) heading(words string) { t.line("\n%s", words) }

func (t *text) verdicts(r *Report) {
	t.heading("VERDICT")
	records := uint64(0)
	for _, o := range r.Output {
		records += o.Records
	}
	for i := range r.Verdicts {
		t.verdict(&r.Verdicts[i], records)
	}
	for _, k := range r.Forbidden {
		t.kind(k)
	}
	for _, p := range r.ResolverNetworks {
		t.line("The addresses in the resolver's network %s that messages contained were searched for.", p)
	}
	if r.ResolverUnlisted > 0 {
		t.line("%d more addresses of the resolver that messages contained were searched for.", r.ResolverUnlisted)
	}
	if r.ResolverMore {
		t.line("Messages contained more addresses of the resolver than are searched for.")
	}
	if !slices.ContainsFunc(r.Verdicts, func(v Verdict) bool { return v.Resolver }) {
		t.line("No address of the resolver is known, because messages contain none: give it with --canary or in scrub.resolvers.")
	}
	if !r.canariesGiven() { // else they are problems
		for _, u := range r.unsearched() {
			t.line("%s", u)
		}
	}
	for _, p := range r.Problems {
		t.line("Incomplete: %s", p)
	}
	switch {
	case r.Found:
		t.line("Something that must not leave was found.")
	case len(r.Output) > 0 && len(r.Verdicts) > 0:
		t.line("Nothing of this that must not leave was found.")
	}
}

// kind writes how often entries of one kind were found, unless there are none.
func (t *text) kind(k Kind) {
	switch {
	case k.Entries == 0:
	case k.Kind == string(canary.ClientSubnet):
		t.line("client subnets of %d transactions appear in %d of %d records", k.Entries, k.Found, k.Records)
	default:
		t.line("%ss of the configuration (%d) appear in %d of %d output records", k.Kind, k.Entries, k.Found, k.Records)
	}
}

func (t *text) verdict(v *Verdict, records uint64) {
	t.line("%s", v.Verdict)
	if v.Resolver {
		t.line("  %s: %s", v.Canary, known(v))
	}
	if before := records - v.Records; before > 0 {
		t.line("  %d records had left when it became known, and were not searched for it", before)
	}
	if v.Kept && v.Found > 0 {
		t.line(`  scrub.resolver_address = "keep" lets it leave`)
	}
	if v.Outside > 0 {
		t.line("  %d containers contain it outside their records", v.Outside)
	}
	t.findings(v.Findings, v.Found)
	if v.Loose > 0 {
		t.line("  note: %d records or containers hold it in a form or place that the configuration does not forbid:", v.Loose)
		t.findings(v.Notes, v.Loose)
	}
}

func known(v *Verdict) string {
	var by []string
	for _, o := range []struct {
		known bool
		words string
	}{{v.Given, "--canary"}, {v.Configured, "the configuration"}, {v.InMessages, "messages"}} {
		if o.known {
			by = append(by, o.words)
		}
	}
	return "known from " + strings.Join(by, ", ")
}

func (t *text) findings(all []Finding, found uint64) {
	for i := range all {
		f := &all[i]
		switch {
		case f.Message == "":
			t.line("  %s in the %s (%s), in the record of", f.Form, f.Place, f.Where)
		case f.Where != "":
			t.line("  record %d of %s: %s in the %s (%s)", f.Record, f.Message, f.Form, f.Place, f.Where)
		default:
			t.line("  record %d of %s: %s, %s, at octet %d", f.Record, f.Message, f.Form, f.Place, f.Offset)
		}
		for l := range strings.Lines(f.Text) {
			t.line("    | %s", strings.TrimSuffix(l, "\n"))
		}
	}
	if more := found - uint64(len(all)); len(all) > 0 && more > 0 {
		t.line("  and %d records more", more)
	}
}

func (t *text) messages(r *Report) {
	t.heading("WHAT WAS READ AND WHAT BECAME OF IT")
	m := &r.Messages
	account := (&transform.Counts{Read: m.Read, Records: m.Records, Paired: m.Paired, Held: m.Held}).Account()
	for i, row := range account.ShownRows() {
		t.count(row.Name, row.Value, row.Meaning)
		if i == 1 {
			t.examples(m.Examples) // of records
		}
	}
	for _, d := range r.Dropped {
		if d.Messages == 0 {
			continue
		}
		t.count(d.Reason, d.Messages, "dropped: "+d.Meaning)
		t.examples(d.Examples)
	}
}

// few writes the reasons for few records, if there are any.
func (t *text) few(r *Report) {
	if len(r.Few) == 0 {
		return
	}
	t.heading("WHY THERE ARE FEW RECORDS")
	for _, c := range r.Few {
		t.line("%s", c.Says)
		t.line("  %s", c.Do)
	}
}

// packets writes the counts of packets, if there were packets.
func (t *text) packets(all []PacketCount) {
	if len(all) == 0 {
		return
	}
	t.heading("PACKETS")
	for _, p := range all {
		t.count(p.Count, p.N, p.Meaning)
	}
}

func (t *text) examples(all []Example) {
	for i := range all {
		t.line("    %s", all[i].text())
	}
}

func (t *text) count(name string, n uint64, meaning string) {
	t.line("%-20s %8d  %s", name, n, meaning)
}

// text returns an example in one line.
func (x *Example) text() string {
	words := []string{x.Name, x.Type}
	if x.Name == "" {
		words = []string{"no readable question"}
	}
	direction := "to"
	if x.Response {
		direction = "from"
	}
	if x.Server != "" {
		words = append(words, direction, x.Server)
	}
	return strings.TrimSpace(strings.Join(append(words, x.Time), " "))
}

func (t *text) rules(r *Report) {
	t.heading("WHAT SCRUBBING CHANGED")
	t.matchedRules(r, false)
	t.heading("WHAT SCRUBBING FORBADE")
	t.matchedRules(r, true)
	var never []string
	for _, rule := range r.Rules {
		if rule.Records == 0 {
			never = append(never, rule.Rule)
		}
	}
	if len(never) > 0 {
		t.line("\nNever matched: %s", strings.Join(never, ", "))
	}
}

func (t *text) matchedRules(r *Report, forbid bool) {
	none := true
	for _, rule := range r.Rules {
		if rule.Records == 0 || (rule.Forbids != "") != forbid {
			continue
		}
		none = false
		t.count(rule.Rule, rule.Records, rule.Meaning)
		for _, x := range rule.Examples {
			t.line("    %s", x.text())
			for i := range x.Changes {
				t.change(&x.Changes[i])
			}
		}
	}
	if none {
		t.line("nothing")
	}
}

func (t *text) change(c *Change) {
	switch {
	case c.Before == "" && c.After == "":
		t.line("      %s", c.What)
	case c.Before == "":
		t.line("      %s: %s", c.What, c.After)
	case c.Entry != "":
		t.line("      %s: %s -> %s, because of %s", c.What, c.Before, c.After, c.Entry)
	default:
		t.line("      %s: %s -> %s", c.What, c.Before, c.After)
	}
	if t.octets && c.To > 0 {
		t.line("        octets %d..%d: %s", c.From, c.To, c.BeforeHex)
		if c.AfterHex != "" {
			t.line("        become: %s", c.AfterHex)
		}
	}
}

// hiding lists the zones with the most drops that their operators can cause.
func (t *text) hiding(all []Zone) {
	t.heading("ZONES THAT MAY HIDE: MOST DROPS BY RESOLVER_ADDRESS, LOOKUP AND LOCAL_NAME_INSIDE")
	for i := range all {
		z := &all[i]
		var by []string
		for _, n := range []struct {
			drops uint64
			rule  string
		}{{z.ResolverAddress, "resolver_address"}, {z.Lookup, "lookup"}, {z.LocalNameInside, "local_name_inside"}} {
			if n.drops > 0 {
				by = append(by, fmt.Sprintf("%s %d", n.rule, n.drops))
			}
		}
		t.count(z.Zone, z.drops(), strings.Join(by, ", "))
	}
	if len(all) == 0 {
		t.line("none")
	}
}

func (t *text) neverCopied(all []Uncopied) {
	t.heading("WHAT DNSTAP FRAMES HELD IN ADDITION TO THEIR MESSAGES: IT IS NEVER COPIED")
	for i := range all {
		u := &all[i]
		switch {
		case u.Frames == 0:
			t.line("%s: %s", u.Field, u.Value)
		case !u.Searched:
			t.line("%s %s in %d frames: too short to search for", u.Field, u.Value, u.Frames)
		default:
			t.line("%s %s in %d frames: its octets appear in %d output records", u.Field, u.Value, u.Frames, u.Found)
			if u.Found > 0 {
				t.line("  This may be chance, because they may be part of any name; it does not count as found:")
			}
			t.findings(u.Findings, u.Found)
		}
	}
	if len(all) == 0 {
		t.line("nothing")
	}
}

func (t *text) configuration(r *Report) {
	t.heading("ENTRIES OF THE CONFIGURATION THAT MATCHED NOTHING")
	for _, e := range r.Unmatched {
		t.line("%s: %s", e.Attribute, e.Value)
	}
	if len(r.Unmatched) == 0 {
		t.line("nothing")
		return
	}
	t.line("Check these for typing errors.")
}

func (t *text) reproduce(r *Report) {
	t.heading("WHERE THIS COMES FROM")
	t.line("version        %s", r.Version)
	t.line("command        %s", r.Command)
	t.line("configuration  %s", r.Configuration)
	for _, in := range r.Inputs {
		t.line("input          %s", in.text())
	}
	for _, o := range r.Output {
		t.line("output         %s: %d records, %d octets in %d containers, SHA-256 of the records %s",
			o.Message, o.Records, o.Octets, o.Containers, o.SHA256)
	}
}

func (in *Input) text() string {
	if in.SHA256 == "" {
		return in.Name + ": a socket"
	}
	return fmt.Sprintf("%s: %d octets, SHA-256 %s", in.Name, in.Octets, in.SHA256)
}
