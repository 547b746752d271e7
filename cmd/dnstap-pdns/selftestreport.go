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
	asked     [2]answer
	forbidden string        // the reason for which the policy drops the name; empty: none
	ledger    *admin.Ledger // after the selftest, if something is not proven
	noLedger  error         // why ledger is nil then
}

// A finding is a sentence and what to do about it, which is empty if all is well.
type finding struct{ says, do string }

// print prints each finding, and returns an error unless the name left and the decoy stayed.
func (r *report) print(out io.Writer) error {
	fmt.Fprintln(out)
	findings := append(r.ofResolver(), r.ofName()...)
	for i := range r.Sinks {
		findings = append(findings, r.ofSink(&r.Sinks[i])...)
	}
	findings = append(findings, r.ofDecoy())
	for _, f := range findings {
		fmt.Fprintln(out, f.says)
		if f.do != "" {
			fmt.Fprintf(out, "  %s\n", f.do)
		}
	}
	if r.Passed() {
		fmt.Fprintln(out, "\nproven: what is to leave does, through every sink that has a form for it, and what is to stay does not")
		return nil
	}
	r.warn(out, findings)
	fmt.Fprintln(out)
	if r.DecoyLeft() {
		return errors.New("a decoy left the house")
	}
	return errors.New("not proven")
}

// warn prints the sensor's other warnings.
func (r *report) warn(out io.Writer, besides []finding) {
	if r.noLedger != nil {
		fmt.Fprintf(out, "warning: what else is wrong is not known: %v\n", r.noLedger)
		return
	}
	for _, w := range r.ledger.Warnings() {
		if !slices.ContainsFunc(besides, func(f finding) bool { return f.do == w.Do }) {
			fmt.Fprintf(out, "warning: %s\n  %s\n", w.Says, w.Do)
		}
	}
}

// ofResolver reports a resolver that did not answer, if that may be why the name was not
// seen.
func (r *report) ofResolver() []finding {
	if r.Name.Any() {
		return nil
	}
	for _, a := range r.asked {
		switch {
		case a.err != nil:
			return []finding{{"the resolver does not answer: " + a.err.Error(),
				"Name with --resolver the address at which it answers its clients, from this host too."}}
		case a.rcode == "REFUSED":
			return []finding{{"the resolver refuses to answer this host",
				"Let it answer here (Unbound: access-control, BIND: allow-query and allow-recursion), or run this where its clients are."}}
		}
	}
	return nil
}

// ofName reports at which stage the name stopped; nothing, if it became a record.
func (r *report) ofName() []finding {
	var all []finding
	if r.forbidden != "" {
		all = append(all, finding{"by the policy in force no record of the name can leave: " + reasonMeaning(r.forbidden), "Choose another --zone."})
	}
	switch {
	case r.Name.Records > 0:
	case len(r.Name.Dropped) > 0:
		for _, d := range r.Name.Dropped {
			all = append(all, finding{"the name was seen, and dropped as " + spelled(d), remedyFor(d.Reason)})
		}
	case r.Name.Queries > 0:
		all = append(all, finding{"the name's query was seen, and no response to it",
			"See that the resolver tells of responses too (dnstap), that packets of both directions are captured, and that it reaches the servers of the zone."})
	default:
		all = append(all, r.ofUnseen())
	}
	return all
}

// ofUnseen reports why the sensor may not have seen the name.
func (r *report) ofUnseen() finding {
	const never = "the sensor has never seen the name"
	if len(r.ofResolver()) > 0 || r.noLedger != nil {
		return finding{never, ""} // the reason is reported already, or unknown
	}
	connected, outward, client := inputs(r.ledger)
	switch {
	case !connected:
		return finding{never + ": no resolver is connected to it, and it captures no packets",
			"See that a resolver is set up to send here and may write to the socket (dnstap-pdns check says who may not), and restart it."}
	case !outward && client != "":
		return finding{never + ": what is connected tells of clients only, and of nothing outward", "Of the resolver: " + client + "."}
	}
	return finding{never + ", though something is connected",
		fmt.Sprintf("See that it is the resolver at %s that is connected, and not one that asks it. It did not ask servers if it knows what is below the zone already: choose another --zone.", r.resolver)}
}

// inputs reports whether a sender is connected or packets are captured, whether outward
// messages came, and the remedy for a resolver that sends only its clients' messages.
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

// ofSink reports what became of the name at a sink.
func (r *report) ofSink(s *selftest.Sink) []finding {
	name := fmt.Sprintf("sink %q: ", s.Name)
	fails := ""
	if s.Error != "" {
		fails = ", and it fails: " + s.Error
	}
	switch {
	case s.Stage == selftest.Left && fails != "":
		return []finding{{name + "the name left" + fails, "Mend what it writes to: what left may not have arrived."}}
	case s.Stage == selftest.Left:
		return []finding{{name + "the name left", ""}}
	case s.Stage == selftest.Filtered:
		return []finding{{name + "its message type has no form for a query that nobody answered",
			`message = "dnsqr" or "dnstap" has one.`}}
	case s.Stage == selftest.Lost:
		return []finding{{name + "the record was lost, or others with it: " + lossMeanings(s.Lost) + fails, "Mend what it writes to."}}
	case s.Stage == selftest.Waiting && fails != "":
		return []finding{{name + "the record waits" + fails, "Mend what it writes to."}}
	case s.Stage == selftest.Waiting:
		return []finding{{name + "the record waits, in an open batch or in the queue", r.remedyForWaiting(s.Name)}}
	case fails != "":
		return []finding{{name + strings.TrimPrefix(fails, ", and "), "Mend what it writes to."}}
	}
	return nil
}

// longFlush is the longest flush for which a selftest waits.
const longFlush = 10 * time.Second

func (r *report) remedyForWaiting(sink string) string {
	at := slices.IndexFunc(r.config.Sinks, func(c forward.SinkConfig) bool { return c.Name == sink })
	switch {
	case at >= 0 && r.config.Sinks[at].Flush > longFlush:
		return fmt.Sprintf("Its flush is %v: records wait for so long for others. A selftest has half a minute: choose a shorter one.", r.config.Sinks[at].Flush)
	case at >= 0:
		if c, ok := r.config.Sinks[at].Transport.(udp.Config); ok && c.Rate > 0 {
			return fmt.Sprintf("Its rate is %d datagrams a second: what is more waits. Raise it, or run the selftest when there is less to send.", c.Rate)
		}
	}
	return "It is behind with what it has to send: try again when its queue is shorter (dnstap-pdns status)."
}

// ofDecoy reports what became of the decoy.
func (r *report) ofDecoy() finding {
	switch d := r.Decoy.Stayed(); {
	case r.DecoyLeft():
		return r.ofDecoyThatLeft()
	case d != nil:
		return finding{"decoy: seen, and dropped as " + spelled(*d), ""}
	case len(r.Decoy.Dropped) > 0:
		return finding{"decoy: seen, and dropped before its name was looked at, as " + spelled(r.Decoy.Dropped[0]),
			"That is no proof. See to this first: " + remedyFor(r.Decoy.Dropped[0].Reason)}
	case r.Decoy.Queries > 0:
		return finding{"decoy: its query was seen, and no response to it",
			"That is no proof: it was not judged. Choose another --decoy, whose servers answer."}
	}
	const never = "decoy: never seen, so it is not proven that it would have stayed"
	if !r.Name.Any() {
		return finding{never, ""} // nor was the name
	}
	return finding{never,
		fmt.Sprintf("The resolver may answer below %s by itself (Unbound: local-zone, BIND: empty zones), or have asked for no more than %[1]s (QNAME minimisation). "+
			"Choose a --decoy, local or special, below which it asks servers.", r.decoys)}
}

func (r *report) ofDecoyThatLeft() finding {
	var by []string
	for _, s := range r.Sinks {
		if s.DecoyLeft {
			by = append(by, fmt.Sprintf("sink %q", s.Name))
		}
	}
	says := "decoy: A RECORD WAS MADE OF IT"
	if len(by) > 0 {
		says = "decoy: IT LEFT, through " + strings.Join(by, ", ")
	}
	return finding{says, "Stop the sensor. If its configuration was not changed during the selftest, this is a defect of dnstap-pdns: please report it."}
}

// spelled returns a drop in words.
func spelled(d selftest.Drop) string {
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

// remedyFor returns what to do if the name was dropped for this reason.
func remedyFor(reason string) string {
	for _, r := range transform.Reasons() {
		if r.String() == reason {
			return selftestRemedies[r]
		}
	}
	return "docs/privacy.md says what the reason means."
}

const (
	remedyCaptures = "See that packets of both directions are captured, all of them, and once."
	remedyDefect   = "That is a defect, of the resolver's or of dnstap-pdns: please report it."
)

// selftestRemedies contain what to do if a name that must leave was dropped.
var selftestRemedies = map[transform.Reason]string{
	transform.Oversize:        "Raise max_frame of the source.",
	transform.Malformed:       remedyDefect,
	transform.NotOutward:      "Have the resolver tell what servers say to it.",
	transform.Forwarded:       "This resolver asks another one, and that one is where the sensor belongs; outward.forwarded = true takes what this one says.",
	transform.LocalServer:     "The answer came from a private or local address: choose a --zone that servers on the Internet answer for; outward.local_servers = true takes all that such servers say.",
	transform.NotLookup:       remedyDefect,
	transform.Truncated:       "The retry over TCP was not seen: see that the resolver reaches servers over TCP, and that it is captured.",
	transform.Rcode:           "Name the response code in outward.rcodes, or choose a --zone whose answers have another.",
	transform.Mismatched:      "Somebody answers in the place of the servers, or the resolver tells of queries that are not its own.",
	transform.Unsolicited:     remedyCaptures,
	transform.Duplicate:       remedyCaptures,
	transform.LocalName:       "The name, its zone or the answer holds what scrub.local_names and scrub.local_networks keep in the house: choose a --zone outside.",
	transform.ResolverAddress: "The answer holds the resolver's address: choose a --zone that the resolver does not serve.",
	transform.Lookup:          "The name queries a list: choose a --zone that scrub.lookup_zones does not contain.",
	transform.SpecialName:     "Choose a --zone under a top-level domain that exists.",
	transform.Unscrubbable:    remedyDefect,
	transform.Unanswered:      "No server answered in pairing.timeout: see that the resolver reaches the servers of the zone, or choose another --zone.",
	transform.PairingFull:     "Raise pairing.max_queries.",
	transform.Unfinished:      "The connection, or the sensor, ended meanwhile: try again.",
}
