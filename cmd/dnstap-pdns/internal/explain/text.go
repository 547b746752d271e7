package explain

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// WriteJSON writes the report as one JSON document.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// WriteText writes the report for people; with octets, byte ranges and what stood there
// too.
func (r *Report) WriteText(w io.Writer, octets bool) error {
	t := &text{octets: octets}
	t.line("%s", r.Notice)
	t.verdicts(r)
	t.messages(r)
	t.rules(r)
	t.census(r.Census)
	t.neverCopied(r.NeverCopied)
	t.configuration(r)
	t.reproduce(r)
	_, err := io.WriteString(w, t.b.String())
	return err
}

// text is a report in the making.
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
	for _, p := range r.ResolverNetworks {
		t.line("Of the resolver's network %s, the addresses that messages told were looked for.", p)
	}
	if r.ResolverMore {
		t.line("Messages told more addresses of the resolver than are looked for.")
	}
	if !anyResolver(r.Verdicts) {
		t.line("No address of the resolver is known: the messages tell none. Name it with --canary or in scrub.resolvers.")
	}
	if !r.asked() { // else they are problems
		for _, u := range r.unsearched() {
			t.line("%s", u)
		}
	}
	for _, p := range r.Problems {
		t.line("This is not the whole truth: %s", p)
	}
	switch {
	case r.Found:
		t.line("What must not leave was found.")
	case len(r.Output) > 0 && len(r.Verdicts) > 0:
		t.line("Nothing of this that must not leave was found.")
	}
}

func anyResolver(all []Verdict) bool {
	for i := range all {
		if all[i].Resolver {
			return true
		}
	}
	return false
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
		t.line("  and stands beside the records in %d containers", v.Outside)
	}
	t.findings(v.Findings, v.Found)
}

func known(v *Verdict) string {
	var by []string
	for _, o := range []struct {
		says  bool
		words string
	}{{v.Given, "--canary"}, {v.Configured, "the configuration"}, {v.Told, "messages"}} {
		if o.says {
			by = append(by, o.words)
		}
	}
	return "known from " + strings.Join(by, ", ")
}

func (t *text) findings(all []Finding, found uint64) {
	for i := range all {
		f := &all[i]
		t.line("  record %d of %s: %s, %s, at octet %d", f.Record, f.Message, f.Form, f.Place, f.Offset)
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
	t.count("read", r.Messages.Read, "messages, and frames that should have been one")
	t.count("records", r.Messages.Records, "messages that became a record")
	t.examples(r.Messages.Examples)
	t.count("paired", r.Messages.Paired, "queries that found their response")
	if r.Messages.Held > 0 {
		t.count("held", r.Messages.Held, "queries that wait for their response")
	}
	for _, d := range r.Dropped {
		if d.Messages == 0 {
			continue
		}
		t.count(d.Reason, d.Messages, "dropped: "+d.Meaning)
		t.examples(d.Examples)
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

// text is an example in one line.
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
	t.rulesThat(r, false)
	t.heading("WHAT SCRUBBING FORBADE")
	t.rulesThat(r, true)
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

func (t *text) rulesThat(r *Report, forbid bool) {
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

func (t *text) neverCopied(all []Beside) {
	t.heading("WHAT DNSTAP FRAMES TOLD BESIDE THEIR MESSAGES, WHICH IS NEVER COPIED")
	for i := range all {
		b := &all[i]
		switch {
		case b.Frames == 0:
			t.line("%s: %s", b.Field, b.Value)
		case !b.Searched:
			t.line("%s %s in %d frames: too short to look for", b.Field, b.Value, b.Frames)
		default:
			t.line("%s %s in %d frames: its octets appear in %d output records", b.Field, b.Value, b.Frames, b.Found)
			if b.Found > 0 {
				t.line("  That may be chance, for they may be part of any name; it is no verdict:")
			}
			t.findings(b.Findings, b.Found)
		}
	}
	if len(all) == 0 {
		t.line("nothing")
	}
}

func (t *text) configuration(r *Report) {
	t.heading("WHAT OF THE CONFIGURATION MATCHED NOTHING HERE")
	for _, e := range r.Unmatched {
		t.line("%s: %s", e.Attribute, e.Value)
	}
	if len(r.Unmatched) == 0 {
		t.line("nothing")
		return
	}
	t.line("See that these are no typing errors.")
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
