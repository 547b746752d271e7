package statement

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

func (s *Subject) collection(p *page) {
	p.heading(4, "What is collected")
	s.collected(p)
	if s.scrubbedElsewhere() {
		s.collectionElsewhere(p)
	} else {
		p.heading(4, "What is removed from records")
		s.removed(p)
		p.heading(4, "What is dropped")
		s.dropped(p)
	}
	p.heading(4, "What is sent, and where to")
	s.sent(p)
}

// collected describes the sources, and what a record contains.
func (s *Subject) collected(p *page) {
	for _, b := range s.blocks("source") {
		p.settings(&b, p.ours("status", "", "prints what this source has read"))
	}
	if s.scrubbedElsewhere() {
		p.claim("A record contains a response that a resolver of another sensor got from an authoritative server. An RRset contains what such records have in common, with counts and times.",
			p.ours("status", "", "prints how many of both it has read, together"))
		return
	}
	p.claim("A record contains a response that the resolver got from an authoritative server, and the query to it: the server's address, query name, type and class, "+
		"rcode, the zone that was queried, the times, and the scrubbed messages.",
		p.ours("replay", "CAPTURE --to - | dnstap-pdns cat -", "prints every record that would leave"))
	for _, b := range s.blocks("outward") {
		p.settings(&b, p.ours("check", "", "prints this block"))
	}
}

// removed lists the settings of scrubbing, and the rules that change records.
func (s *Subject) removed(p *page) {
	for _, b := range s.blocks("scrub") {
		p.settings(&b, p.ours("check", "", "prints this block"))
	}
	p.claim("What this table lists is changed in every record to which it applies, before the record leaves.",
		p.ours("explain", "--hex CAPTURE", "shows under WHAT SCRUBBING CHANGED how often, and examples before and after"))
	unused := unusedRules(&s.File.Policy)
	p.table("rule", "what it does")
	for _, r := range transform.Rules() {
		if r.ForbidsAs() == transform.Kept && !unused[r] {
			p.row("`"+r.String()+"`", r.Meaning())
		}
	}
	p.WriteByte('\n')
	if resolution := s.File.Policy.TimeResolution; unused[transform.TimeTruncated] {
		p.claim("Times are not truncated.", p.ours("check", "", "prints `time_resolution` in the block `scrub`"))
	} else {
		p.claim(fmt.Sprintf("Times are truncated to multiples of %s, in every field.", resolution),
			p.ours("replay", "CAPTURE --to - | dnstap-pdns cat -", "prints the times of every record that would leave"))
	}
}

// dropped lists the reasons for which messages are dropped, and the rules that forbid a record.
func (s *Subject) dropped(p *page) {
	p.claim("A message that one of these reasons concerns does not leave. The first reason that applies is counted.",
		p.ours("explain", "CAPTURE", "counts every message under one reason, and searches the finished records for everything that must not leave, with other code"))
	c := &s.File.Policy
	unused := unusedReasons(c)
	p.table("reason", "the message")
	for _, r := range transform.Reasons() {
		if !unused[r] {
			p.row("`"+r.String()+"`", r.Meaning())
		}
	}
	p.WriteByte('\n')
	p.WriteString("Rules by which scrubbing drops a record:\n")
	withoutRule := unusedRules(c)
	p.table("rule", "what forbids the record", "reason")
	for _, r := range transform.Rules() {
		if r.ForbidsAs() != transform.Kept && !withoutRule[r] {
			p.row("`"+r.String()+"`", r.Meaning(), "`"+r.ForbidsAs().String()+"`")
		}
	}
	p.WriteByte('\n')
	p.claim(fmt.Sprintf("Names of the organisation: %d, with all names below them. Networks of the organisation: %d. Addresses and prefixes of the resolver: %d.",
		len(c.LocalNames), len(c.LocalNetworks), len(c.Resolvers)),
		p.ours("explain", "CAPTURE", "lists under VERDICT how many there are, and in how many output records they appear"))
	p.fillIn("that scrubbing cannot recognise names that others give to the organisation, names that contain a person's name, account or device, " +
		"and what is encrypted or encoded in other ways; and why that is acceptable")
	p.fillIn("whether names that identify persons may leave, such as names of devices at dynamic DNS providers: `dnstap-pdns explain" +
		p.option + " --census CAPTURE` counts them by kind")
}

// sent describes the aggregates and the sinks.
func (s *Subject) sent(p *page) {
	for _, b := range s.blocks("aggregate") {
		p.settings(&b, p.ours("status", "", "prints how many RRsets its window holds, and how many have left it"))
		p.keptOnDisk(&b)
	}
	for _, b := range s.blocks("sink") {
		p.settings(&b, p.ours("status", "", "prints where this sink sends, and how many records it has delivered, filtered and lost"))
	}
	if s.scrubbedElsewhere() {
		p.claim(s.form(), p.ours("check", "", "prints every sink"))
	} else {
		p.claim(s.form(), p.ours("selftest", "", "proves for every sink that a public name leaves, and that a name that must stay is dropped"))
	}
	p.fillIn("how long each receiver and the operator retain records, if no block `keep` above limits it, and with whom they share them")
}

// keptOnDisk describes what an aggregate keeps on the disk of this host.
func (p *page) keptOnDisk(b *conf.Block) {
	if !slices.ContainsFunc(b.Settings, func(set conf.Setting) bool { return set.Name == "state" && set.Changed }) {
		p.claim(fmt.Sprintf("`%s` keeps RRsets in memory only.", b.Title), p.ours("check", "", "prints `state = \"\"`"))
		return
	}
	p.claim(fmt.Sprintf("`%s` also keeps data on disk, in the file `state` and in files next to it: the RRsets in its window, with their counts and times, "+
		"and the names and addresses of authoritative servers. Only the user of the sensor can read the files. They remain when the sensor has stopped.", b.Title),
		proof{"ls -l STATE*", "prints the files and their modes, with the value of `state` as STATE"})
}

// form returns in which form data leaves.
func (s *Subject) form() string {
	var fed []string
	for i := range s.File.Sinks {
		if c := &s.File.Sinks[i]; c.From != "" {
			fed = append(fed, "`"+c.Name+"`")
		}
	}
	if len(fed) == 0 {
		return "Records leave one by one: they are not aggregated, pseudonymised or encrypted by the sensor, except as a setting above says."
	}
	return fmt.Sprintf("Of records, the sinks of an aggregate (%s) send only RRsets, each with its count, its highest TTL, and the times when it was first and last seen. "+
		"Other sinks send records one by one. Nothing is pseudonymised or encrypted by the sensor, except as a setting above says.", strings.Join(fed, ", "))
}

// settings writes a block: all of its settings, and how to prove them.
func (p *page) settings(b *conf.Block, by proof) {
	p.claim(fmt.Sprintf("`%s` has these settings.", b.Title), by)
	p.table("setting", "value", "meaning")
	for i := range b.Settings {
		set := &b.Settings[i]
		p.row("`"+set.Name+"`", shown(b, set), set.Meaning)
	}
	p.WriteByte('\n')
}

// shown returns a value for a statement. It counts the names and addresses of a source or of the
// block scrub, because they are the organisation's.
func shown(b *conf.Block, set *conf.Setting) string {
	switch {
	case set.Words:
		return set.Value
	case set.List && (b.Kind == "source" || b.Kind == "scrub"):
		return fmt.Sprintf("%d, not listed here", set.Count)
	}
	return "`" + strings.ReplaceAll(set.Value, "`", "'") + "`"
}

func (s *Subject) blocks(kind string) (all []conf.Block) {
	for _, b := range s.File.Blocks() {
		if b.Kind == kind {
			all = append(all, b)
		}
	}
	return all
}

// wayOut returns the setting by which the records of a sink may leave this host: its target,
// unless that is a file or standard output, or else its command for finished files. It is empty
// if there is none.
func wayOut(b *conf.Block) string {
	for _, set := range b.Settings {
		to := strings.Trim(set.Value, `"`)
		switch {
		case set.Name == "to" && to != "stdout:" && !strings.HasPrefix(to, "file:"):
			return to
		case set.Name == "on_rotate" && set.Count > 0:
			return set.Name + " = " + set.Value
		}
	}
	return ""
}
