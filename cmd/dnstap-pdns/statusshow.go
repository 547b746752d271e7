package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/admin"
)

// printStatus prints warnings first, then the ledger.
func printStatus(w io.Writer, l *admin.Ledger) {
	t := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	defer t.Flush()
	for _, warning := range l.Warnings() {
		fmt.Fprintf(t, "warning: %s\n  %s\n", warning.Says, warning.Do)
	}
	fmt.Fprintf(t, "dnstap-pdns %s, up %s, as of %s\n", l.Version, span(l.Time.Sub(l.Started)), l.Time.Format(time.RFC3339))
	fmt.Fprintf(t, "pairing table: %d of %d in use\n", l.Pairing.Used, l.Pairing.Max)
	for i := range l.Sources {
		s := &l.Sources[i]
		fmt.Fprintf(t, "\nsource %q: %s\n", s.Name, strings.Join(sourceState(l, s), ", "))
		printMessages(t, &s.Messages)
		printScrubbed(t, &s.Messages)
		if s.Dnstap != nil {
			printConnections(t, l, s.Dnstap)
		}
		if s.Pcap != nil {
			printInterfaces(t, s.Pcap)
		}
	}
	for i := range l.Sinks {
		s := &l.Sinks[i]
		fmt.Fprintf(t, "\nsink %q: %s\n", s.Name, sinkState(l, s))
		printSink(t, s)
	}
	if len(l.Imbalances()) == 0 {
		fmt.Fprintln(t, "\nevery message and record is accounted for")
	}
}

// printDomains prints nothing if there are none.
func printDomains(w io.Writer, domains []admin.Domain) {
	if len(domains) == 0 {
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer t.Flush()
	fmt.Fprintln(t, "\nregistered domains with the most drops")
	fmt.Fprintln(t, "answers that hold the asker's own address are dropped, and a zone can use that to hide from sensors")
	fmt.Fprintln(t, "domain\tresolver_address\tlookup\tlocal_name_inside")
	for _, d := range domains {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\n", d.Domain, d.ResolverAddress, d.Lookup, d.LocalNameInside)
	}
}

func sourceState(l *admin.Ledger, s *admin.Source) []string {
	var state []string
	switch {
	case s.Kind == admin.KindRemoved:
		state = append(state, "removed by a reload")
	case s.Dnstap != nil:
		state = append(state, "dnstap", plural(len(s.Dnstap.Connections), "connection"))
	case s.Pcap != nil && s.Pcap.Capturing:
		state = append(state, "packets, capturing")
	default:
		state = append(state, "packets, not capturing")
	}
	if s.LastOutward.IsZero() {
		return append(state, "nothing outward so far")
	}
	return append(state, fmt.Sprintf("last outward %s ago", span(l.Time.Sub(s.LastOutward))))
}

func printConnections(w io.Writer, l *admin.Ledger, d *admin.Dnstap) {
	for i := range d.Connections {
		c := &d.Connections[i]
		who := []string{fmt.Sprintf("connection %d", c.Number)}
		if c.UID != nil {
			who = append(who, fmt.Sprintf("user %d, process %d", *c.UID, c.PID))
		}
		if c.Client != "" {
			who = append(who, fmt.Sprintf("client %q", c.Client))
		}
		if c.Version != "" || c.Identity != "" {
			who = append(who, fmt.Sprintf("%q at %q", c.Version, c.Identity))
		}
		fmt.Fprintf(w, "  %s: for %s, %s, %d messages outward\n", strings.Join(who, ", "), span(l.Time.Sub(c.Since)), plural(int(c.Frames), "frame"), c.Outward)
	}
	for _, n := range []struct {
		n       uint64
		meaning string
	}{
		{d.Refused, "refused: all places were taken"},
		{d.Displaced, "closed for another's sake: all places were taken"},
		{d.HandshakesFailed, "never said how they speak"},
		{d.Broken, "closed because of broken framing"},
	} {
		if n.n > 0 {
			fmt.Fprintf(w, "  %s %s\n", plural(int(n.n), "connection"), n.meaning)
		}
	}
}

func printInterfaces(w io.Writer, p *admin.Packets) {
	for _, i := range p.Interfaces {
		up := "up"
		if !i.Up {
			up = "down"
		}
		fmt.Fprintf(w, "  %s, %s: %s received, %d dropped by the kernel\n", i.Name, up, plural(int(i.Received), "packet"), i.Dropped)
	}
}

func sinkState(l *admin.Ledger, s *admin.Sink) string {
	state := "works"
	if s.Failing != nil {
		state = fmt.Sprintf("fails for %s", span(l.Time.Sub(s.Failing.Since)))
	}
	switch {
	case s.Removed && !s.Leaving:
		return "removed by a reload"
	case s.Removed:
		state += ", removed by a reload and draining"
	case s.Leaving:
		state += ", and what it was before a reload is draining"
	}
	return fmt.Sprintf("%s, %d of %d bytes of its queue in use", state, s.QueueBytes, s.QueueMax)
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// span is a time in whole seconds.
func span(d time.Duration) string { return d.Truncate(time.Second).String() }
