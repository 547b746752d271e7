package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
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
	findings := append(r.ofResolver(), r.ofName()...)
	for i := range r.Sinks {
		findings = append(findings, r.ofSink(&r.Sinks[i])...)
	}
	findings = append(findings, r.ofDecoy())
	for _, f := range findings {
		fmt.Fprintln(out, f.text)
		if f.remedy != "" {
			fmt.Fprintf(out, "  %s\n", f.remedy)
		}
	}
	if r.Passed() {
		fmt.Fprintln(out, "\nproven: the name left through every sink whose message type can contain it, and the decoy did not leave")
		return nil
	}
	r.warn(out, findings)
	fmt.Fprintln(out)
	if r.DecoyLeft() {
		return errors.New("the decoy left")
	}
	return errors.New("not proven")
}

// warn prints the warnings of the sensor whose remedies were not printed already.
func (r *report) warn(out io.Writer, printed []finding) {
	if r.noLedger != nil {
		fmt.Fprintf(out, "warning: the warnings of the sensor could not be read: %v\n", r.noLedger)
		return
	}
	for _, w := range r.ledger.Warnings() {
		if !slices.ContainsFunc(printed, func(f finding) bool { return f.remedy == w.Do }) {
			fmt.Fprintf(out, "warning: %s\n  %s\n", w.Says, w.Do)
		}
	}
}

// ofResolver reports that the resolver did not answer, which may be the reason if the name was
// not seen.
func (r *report) ofResolver() []finding {
	if r.Name.Any() {
		return nil
	}
	for _, a := range r.answers {
		switch {
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

// ofName reports why the name did not become a record.
func (r *report) ofName() []finding {
	var all []finding
	if r.forbidden != "" {
		all = append(all, finding{"by the policy in force no record of the name can leave: " + reasonMeaning(r.forbidden), "Choose another --zone."})
	}
	switch {
	case r.Name.Records > 0:
	case len(r.Name.Dropped) > 0:
		for _, d := range r.Name.Dropped {
			all = append(all, finding{"the name was seen, and dropped as " + meaningOfDrop(d), remedyFor(d.Reason)})
		}
	case r.Name.Queries > 0:
		all = append(all, finding{"the name's query was seen, and no response to it",
			"Check that the resolver sends responses over dnstap, that packets of both directions are captured, and that the resolver reaches the servers of the zone."})
	default:
		all = append(all, r.ofUnseen())
	}
	return all
}

// ofUnseen reports possible reasons why the sensor did not see the name.
func (r *report) ofUnseen() finding {
	const never = "the sensor has never seen the name"
	if len(r.ofResolver()) > 0 || r.noLedger != nil {
		return finding{never, ""} // the reason is reported already, or unknown
	}
	connected, outward, remedy := inputs(r.ledger)
	switch {
	case !connected:
		return finding{never + ": no resolver is connected to it, and it captures no packets",
			"See that a resolver is set up to send here and may write to the socket (dnstap-pdns check says who may not), and restart it."}
	case !outward && remedy != "":
		return finding{never + ": the resolver sends only messages of its clients, and nothing outward", "In the resolver: " + remedy + "."}
	}
	return finding{never + ", though something is connected",
		fmt.Sprintf("See that it is the resolver at %s that is connected, and not one that asks it. It did not ask servers if it knows what is below the zone already: choose another --zone.", r.resolver)}
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

// ofSink reports the result for the name at a sink.
func (r *report) ofSink(s *selftest.Sink) []finding {
	name := fmt.Sprintf("sink %q: ", s.Name)
	fails := ""
	if s.Error != "" {
		fails = ", and it fails: " + s.Error
	}
	switch {
	case s.Stage == selftest.Left && fails != "":
		return []finding{{name + "the name left" + fails, "Fix the target of the sink: what left may not have arrived."}}
	case s.Stage == selftest.Left:
		return []finding{{name + "the name left", ""}}
	case s.Stage == selftest.Filtered:
		return []finding{{name + "its message type cannot contain a query without a response",
			`Set message = "dnsqr" or "dnstap" to send such queries.`}}
	case s.Stage == selftest.Lost:
		return []finding{{name + "the record was lost, or others with it: " + lossMeanings(s.Lost) + fails, "Fix the target of the sink."}}
	case s.Stage == selftest.Waiting && fails != "":
		return []finding{{name + "the record waits" + fails, "Fix the target of the sink."}}
	case s.Stage == selftest.Waiting:
		return []finding{{name + "the record waits, in an open batch or in the queue", r.remedyForWaiting(s.Name)}}
	case fails != "":
		return []finding{{name + strings.TrimPrefix(fails, ", and "), "Fix the target of the sink."}}
	}
	return nil
}

// longFlush is the longest flush with which a selftest can pass.
const longFlush = 10 * time.Second

func (r *report) remedyForWaiting(sink string) string {
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

// ofDecoy reports the result for the decoy.
func (r *report) ofDecoy() finding {
	switch d := r.Decoy.Stayed(); {
	case r.DecoyLeft():
		return r.ofDecoyThatLeft()
	case d != nil:
		return finding{"decoy: seen, and dropped as " + meaningOfDrop(*d), ""}
	case len(r.Decoy.Dropped) > 0:
		return finding{"decoy: seen, and dropped before its name was looked at, as " + meaningOfDrop(r.Decoy.Dropped[0]),
			"This proves nothing. Fix this first: " + remedyFor(r.Decoy.Dropped[0].Reason)}
	case r.Decoy.Queries > 0:
		return finding{"decoy: its query was seen, and no response to it",
			"This proves nothing, because the decoy was not judged. Choose another --decoy, whose servers answer."}
	}
	const never = "decoy: never seen, so it is not proven that it would have stayed"
	if !r.Name.Any() {
		return finding{never, ""} // ofName reports why
	}
	return finding{never,
		fmt.Sprintf("The resolver may answer below %s by itself (Unbound: local-zone, BIND: empty zones), or have sent queries only for %[1]s (QNAME minimisation). "+
			"Choose a local or special --decoy below which it queries servers.", r.decoys)}
}

func (r *report) ofDecoyThatLeft() finding {
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
	rows := new(forward.SinkLedger).Account().Lost.Rows
	var all []string
	for _, name := range slices.Sorted(maps.Keys(lost)) {
		if m := meaningOf(rows, name); m != "" {
			name += ", " + m
		}
		all = append(all, name)
	}
	return strings.Join(all, "; ")
}

// meaningOf returns the meaning of the row of that name, or nothing.
func meaningOf(rows []transform.Row, name string) string {
	if at := slices.IndexFunc(rows, func(r transform.Row) bool { return r.Name == name }); at >= 0 {
		return rows[at].Meaning
	}
	return ""
}

// remedyFor returns the remedy if the name was dropped for this reason.
func remedyFor(reason string) string {
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
	transform.NotOutward:      "Configure the resolver to send the messages of servers over dnstap.",
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
	transform.PairingFull:     "Increase pairing.max_queries.",
	transform.Unfinished:      "The connection or the sensor ended meanwhile: try again.",
}
