package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/admin"
	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/selftest"
	"github.com/dnstap-pdns/dnstap-pdns/collector"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/udp"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A report prints the result of a selftest.
type report struct {
	*trial
	*selftest.Verdict
	answers   [2]answer
	forbidden string        // the reason for which the policy drops the name, or empty
	ledger    *admin.Ledger // after a selftest that did not pass
	noLedger  error         // the error if ledger could not be read
}

// A finding is a result of the selftest, and a remedy if it is a problem.
type finding struct{ text, remedy string }

// print prints all findings, and returns an error unless the selftest passed.
func (r *report) print(out io.Writer) error {
	fmt.Fprintln(out)
	findings := append(r.resolverFindings(), r.nameFindings()...)
	for i := range r.Sinks {
		findings = append(findings, r.sinkFindings(&r.Sinks[i])...)
	}
	findings = append(findings, r.decoyFinding())
	for _, f := range findings {
		fmt.Fprintln(out, f.text)
		if f.remedy != "" {
			fmt.Fprintf(out, "  %s\n", f.remedy)
		}
	}
	if r.Passed() {
		fmt.Fprintln(out, "\n"+r.proof())
		return nil
	}
	r.warn(out, findings)
	fmt.Fprintln(out)
	if r.DecoyLeft() {
		return errors.New("the decoy left")
	}
	return errors.New("not proven")
}

// proof returns what a selftest that passed has proven.
func (r *report) proof() string {
	if !slices.ContainsFunc(r.Sinks, func(s selftest.Sink) bool {
		return s.Stage != selftest.Filtered && (s.Stage != selftest.Left || s.Error != "")
	}) {
		return "proven: the name left through every sink that takes it, and the decoy did not leave"
	}
	return "proven: no sink that takes the name lost it, and the decoy did not leave; what waits, or may not have arrived, is reported above"
}

// warn prints the warnings of the sensor whose remedies were not printed already.
func (r *report) warn(out io.Writer, printed []finding) {
	if r.noLedger != nil {
		fmt.Fprintf(out, "warning: the warnings of the sensor could not be read: %v\n", r.noLedger)
		return
	}
	for _, w := range r.ledger.Warnings() {
		if !slices.ContainsFunc(printed, func(f finding) bool { return f.remedy == w.Remedy }) {
			fmt.Fprintf(out, "warning: %s\n  %s\n", w.Problem, w.Remedy)
		}
	}
}

// resolverFindings reports that the resolver did not answer, or refused to, if the name was not
// seen: this may be the reason.
func (r *report) resolverFindings() []finding {
	if r.Name.Any() {
		return nil
	}
	for _, a := range r.answers {
		switch _, unresolved := errors.AsType[*net.DNSError](a.err); {
		case unresolved:
			return []finding{{"the name of the resolver cannot be resolved: " + a.err.Error(),
				"Give --resolver the address of the resolver, like 127.0.0.1, or a name that this host can resolve."}}
		case a.err != nil:
			return []finding{{"the resolver does not answer: " + a.err.Error(),
				"Name with --resolver the address at which it answers its clients, from this host too."}}
		case a.rcode == "REFUSED":
			return []finding{{"the resolver refuses to answer this host",
				"Allow queries from this host (Unbound: access-control, BIND: allow-query and allow-recursion), or run selftest on a host of its clients."}}
		}
	}
	return nil
}

// nameFindings reports why the name did not become a record.
func (r *report) nameFindings() []finding {
	var all []finding
	if r.forbidden != "" {
		all = append(all, finding{"by the policy in force no record of the name can leave: " + reasonMeaning(r.forbidden), "Choose another --zone."})
	}
	switch {
	case r.Name.Records > 0:
	case len(r.Name.Dropped) > 0:
		for _, d := range r.Name.Dropped {
			all = append(all, finding{"the name was seen, and dropped as " + meaningOfDrop(d), dropRemedy(d.Reason)})
		}
	case r.Name.Queries > 0:
		all = append(all, finding{"the name's query was seen, and no response to it",
			"Check that the resolver sends responses over dnstap, that packets of both directions are captured, and that the resolver reaches the servers of the zone."})
	default:
		all = append(all, r.unseenFinding())
	}
	return all
}

// unseenFinding reports possible reasons why the sensor did not see the name.
func (r *report) unseenFinding() finding {
	const never = "the sensor has never seen the name"
	if len(r.resolverFindings()) > 0 || r.noLedger != nil {
		return finding{never, ""} // the reason is reported already, or unknown
	}
	connected, outward, remedy := inputs(r.ledger)
	switch {
	case !slices.ContainsFunc(r.ledger.Sources, func(s admin.Source) bool { return s.Dnstap != nil }) && connected:
		return finding{never + ", though it captures packets",
			fmt.Sprintf("Check that the interfaces carry the queries of the resolver at %s to servers, and that resolvers contains the addresses from which it queries. If it has cached that nothing exists below the zone, it queries no server: choose another --zone.", r.resolver)}
	case !connected:
		return finding{never + ": no resolver is connected to it, and it captures no packets",
			"Check that a resolver is configured to send here and may write to the socket (dnstap-pdns check reports who may not), then restart it."}
	case !outward && remedy != "":
		return finding{never + ": the resolver sends only messages of its clients, and nothing outward", "In the resolver: " + remedy + "."}
	}
	return finding{never + ", though something is connected",
		fmt.Sprintf("Check that the connected resolver is the one at %s, and not one that forwards to it. If it has cached that nothing exists below the zone, it queries no server: choose another --zone.", r.resolver)}
}

// inputs reports whether a sender is connected or packets are captured, whether outward
// messages came, and the remedy for a resolver that sends only messages of its clients.
func inputs(l *admin.Ledger) (connected, outward bool, remedy string) {
	for i := range l.Sources {
		s := &l.Sources[i]
		if s.Pcap != nil && s.Pcap.Capturing {
			connected, outward = true, true
		}
		if s.Dnstap == nil {
			continue
		}
		for _, c := range s.Dnstap.Connections {
			connected = true
			outward = outward || c.Outward > 0
			if c.Frames > 0 && c.Outward == 0 {
				remedy = collector.RemedyFor(c.Version).Advice
			}
		}
	}
	return connected, outward, remedy
}

// inWindow reports that a record waits at an aggregate, or at the one that feeds a sink.
func inWindow(from string) string {
	if from == "" {
		return "the record is held in the window; its verified RRsets leave at the end of it"
	}
	return fmt.Sprintf("its RRsets are held in the window of %q, and leave at the end of it", from)
}

// sinkFindings reports the result for the name at a sink. What became of a record that a sink of
// RRsets waits for is reported for its aggregate.
func (r *report) sinkFindings(s *selftest.Sink) []finding {
	name := fmt.Sprintf("sink %q: ", s.Name)
	fails := ""
	if s.Error != "" {
		fails = ", and it fails: " + s.Error
	}
	stage := s.Stage
	if s.From != "" && stage != selftest.Left && stage != selftest.Spooled && stage != selftest.InWindow {
		stage = selftest.NoRecord
	}
	switch stage {
	case selftest.InWindow:
		return []finding{{name + inWindow(s.From) + fails, remedyIf(fails != "", fixTarget)}}
	case selftest.Left:
		return []finding{{name + "the name left" + fails, remedyIf(fails != "", "Fix the target of the sink: what left may not have arrived.")}}
	case selftest.Spooled:
		return []finding{{name + "the record is in its spool" + fails, remedyIf(fails != "", "Fix the target of the sink: the spool sends the record then.")}}
	case selftest.Filtered:
		return []finding{filteredFinding(name, s.FilteredBy)}
	case selftest.Lost:
		return []finding{{name + "the record was lost, or others with it: " + lossMeanings(s.Lost) + fails, fixTarget}}
	case selftest.Missing:
		return []finding{{name + "it took the record and does not have it, which no count explains" + fails, "This is a defect of dnstap-pdns: please report it."}}
	case selftest.Held:
		if fails != "" {
			return []finding{{name + "the record waits" + fails, fixTarget}}
		}
		return []finding{{name + "the record waits, in an open batch, in the queue, or for the peer's acknowledgement", r.remedyForHeld(s.Name)}}
	}
	if fails != "" {
		return []finding{{name + strings.TrimPrefix(fails, ", and "), fixTarget}}
	}
	return nil
}

const fixTarget = "Fix the target of the sink."

func remedyIf(needed bool, remedy string) string {
	if needed {
		return remedy
	}
	return ""
}

// filteredFinding reports the rules by which a sink takes no record of the name.
func filteredFinding(name string, rules []string) finding {
	f := finding{name + "filtered by " + meanings(new(forward.FilterCounts).Group().Rows, rules), "The block policy of the sink says so: change it if the sink is to get such names."}
	if slices.Equal(rules, []string{forward.ByFormat.String()}) {
		f.remedy = `A query without a response needs message = "dnsqr" or "dnstap".`
	}
	return f
}

// longFlush is the longest flush with which a selftest can pass.
const longFlush = 10 * time.Second

func (r *report) remedyForHeld(sink string) string {
	at := slices.IndexFunc(r.config.Sinks, func(c forward.SinkConfig) bool { return c.Name == sink })
	switch {
	case at >= 0 && r.config.Sinks[at].Flush > longFlush:
		return fmt.Sprintf("Its flush is %v: a record may wait that long for others. A selftest waits for half a minute: set a shorter flush.", r.config.Sinks[at].Flush)
	case at >= 0:
		if c, ok := r.config.Sinks[at].Transport.(udp.Config); ok && c.Rate > 0 {
			return fmt.Sprintf("Its rate is %d datagrams a second: more datagrams wait. Increase it, or run selftest when there is less traffic.", c.Rate)
		}
	}
	return "Its queue is long: try again when it is shorter (see dnstap-pdns status)."
}

// decoyFinding reports the result for the decoy.
func (r *report) decoyFinding() finding {
	switch d := r.Decoy.LocalDrop(); {
	case r.DecoyLeft():
		return r.decoyLeftFinding()
	case d != nil:
		return finding{"decoy: seen, and dropped as " + meaningOfDrop(*d), ""}
	case len(r.Decoy.Dropped) > 0:
		return finding{"decoy: seen, and dropped before its name was looked at, as " + meaningOfDrop(r.Decoy.Dropped[0]),
			"This proves nothing. Fix this first: " + dropRemedy(r.Decoy.Dropped[0].Reason)}
	case r.Decoy.Queries > 0:
		return finding{"decoy: its query was seen, and no response to it",
			"This proves nothing, because the decoy was not judged. Choose another --decoy, whose servers answer."}
	}
	const never = "decoy: never seen, so it is not proven that it would have stayed"
	if !r.Name.Any() {
		return finding{never, ""} // nameFindings reports why
	}
	return finding{never,
		fmt.Sprintf("The resolver may answer below %s by itself (Unbound: local-zone, BIND: empty zones), or have sent queries only for %[1]s (QNAME minimisation). "+
			"Choose a local or special --decoy below which it queries servers.", r.decoys)}
}

func (r *report) decoyLeftFinding() finding {
	var by []string
	for _, s := range r.Sinks {
		if s.DecoyLeft {
			by = append(by, fmt.Sprintf("sink %q", s.Name))
		}
	}
	text := "decoy: A RECORD OF IT WAS MADE"
	if len(by) > 0 {
		text = "decoy: IT LEFT, through " + strings.Join(by, ", ")
	}
	return finding{text, "Stop the sensor. If its configuration was not changed during the selftest, this is a defect of dnstap-pdns: please report it."}
}

// meaningOfDrop returns a drop with its meaning.
func meaningOfDrop(d selftest.Drop) string {
	if m := meaningOf(new(transform.Counts).Scrubbing().Rows, d.Rule); m != "" {
		return fmt.Sprintf("%s (%s): %s", d.Reason, d.Rule, m)
	}
	return d.Reason + ": " + reasonMeaning(d.Reason)
}

func reasonMeaning(name string) string {
	return cmp.Or(meaningOf(new(transform.Counts).Account().Lost.Rows, name), name)
}

func lossMeanings(lost map[string]uint64) string {
	return meanings(new(forward.SinkLedger).Account().Lost.Rows, slices.Sorted(maps.Keys(lost)))
}

// meanings returns names of rows with their meanings.
func meanings(rows []transform.Row, names []string) string {
	var all []string
	for _, name := range names {
		if m := meaningOf(rows, name); m != "" {
			name += ", " + m
		}
		all = append(all, name)
	}
	return strings.Join(all, "; ")
}

// meaningOf returns the meaning of the row of that name, or "".
func meaningOf(rows []transform.Row, name string) string {
	if at := slices.IndexFunc(rows, func(r transform.Row) bool { return r.Name == name }); at >= 0 {
		return rows[at].Meaning
	}
	return ""
}

// dropRemedy returns the remedy if the name or the decoy was dropped for this reason.
func dropRemedy(reason string) string {
	for _, r := range transform.Reasons() {
		if r.String() == reason {
			return selftestRemedies[r]
		}
	}
	return "docs/privacy.md explains this reason."
}

const (
	remedyCaptures = "Check that all packets of both directions are captured, each once."
	remedyDefect   = "This is a defect of the resolver or of dnstap-pdns: please report it."
)

// selftestRemedies contains the remedies if a name that must leave was dropped.
var selftestRemedies = map[transform.Reason]string{
	transform.Oversize:        "Increase max_frame of the source.",
	transform.Malformed:       remedyDefect,
	transform.NotOutward:      "Configure the resolver to send the messages of servers over dnstap, or capture packets where it queries servers.",
	transform.Forwarded:       "This resolver forwards to another one: install the sensor there, or accept forwarded messages with outward.forwarded = true.",
	transform.LocalServer:     "The answer came from a private or local address: choose a --zone with servers on the Internet, or accept all answers of local servers with outward.local_servers = true.",
	transform.NotLookup:       remedyDefect,
	transform.Truncated:       "The retry over TCP was not seen: check that the resolver reaches servers over TCP, and that TCP is captured.",
	transform.Rcode:           "Name the response code in outward.rcodes, or choose a --zone whose answers have another one.",
	transform.Mismatched:      "Another host answers instead of the servers, or the resolver sends messages about queries of others.",
	transform.Unsolicited:     remedyCaptures,
	transform.Duplicate:       remedyCaptures,
	transform.LocalName:       "The name, its zone or the answer contains an entry of scrub.local_names or scrub.local_networks: choose a --zone outside.",
	transform.ResolverAddress: "The answer contains the address of the resolver: choose a --zone that the resolver does not serve.",
	transform.Lookup:          "The name queries a list: choose a --zone that scrub.lookup_zones does not contain.",
	transform.SpecialName:     "Choose a --zone under a top-level domain that exists.",
	transform.Unscrubbable:    remedyDefect,
	transform.Unanswered:      "No server answered within pairing.timeout: check that the resolver reaches the servers of the zone, or choose another --zone.",
	transform.PairingFull: "If status shows that the pairing table is full, increase pairing.max_queries. " +
		"Otherwise more than 64 queries to one server with the same DNS ID were pending: connect the resolver directly, without a relay that replaces IDs. " +
		"If packets are captured, check that these are of both directions.",
	transform.Unfinished: "The connection or the sensor ended meanwhile: try again.",
}
