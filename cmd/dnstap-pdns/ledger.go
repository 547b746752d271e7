package main

import (
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"text/tabwriter"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/admin"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// printLedger prints the whole account for people.
func printLedger(w io.Writer, l forward.Ledger) {
	t := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	total := admin.MessagesOf(&l.Total)
	printMessages(t, &total)
	for i := range l.Sinks {
		s := admin.SinkOf(&l.Sinks[i])
		printSink(t, &s)
	}
	t.Flush()
}

// printMessages prints what was read and what became of it, in lines that add up.
func printMessages(w io.Writer, m *admin.Messages) {
	printLine(w, "read", m.Read, "messages, and frames that should have been one")
	printLine(w, "records", m.Records, "messages that became a record")
	printLine(w, "paired", m.Paired, "queries that found their response")
	if m.Held > 0 {
		printLine(w, "held", m.Held, "queries that wait for their response")
	}
	dropped := maps.Clone(m.Dropped)
	for _, r := range transform.Reasons() {
		printTold(w, dropped, r.String(), r.Meaning())
	}
	printRest(w, dropped)
}

// printScrubbed prints, beside the sum, how often scrubbing did what.
func printScrubbed(w io.Writer, m *admin.Messages) {
	scrubbed := maps.Clone(m.Scrubbed)
	for _, r := range transform.Rules() {
		printTold(w, scrubbed, r.String(), "scrubbed: "+r.Meaning())
	}
	printRest(w, scrubbed)
}

func printSink(w io.Writer, s *admin.Sink) {
	printLine(w, "offered", s.Offered, fmt.Sprintf("records, to sink %q", s.Name))
	printLine(w, "delivered", s.Delivered, fmt.Sprintf("in %d containers", s.Containers))
	if s.Queued > 0 {
		printLine(w, "queued", s.Queued, "waiting")
	}
	if s.Filtered > 0 {
		printLine(w, "filtered", s.Filtered, "the message type has no form for them")
	}
	lost := maps.Clone(s.Lost)
	for _, why := range forward.Losses() {
		printTold(w, lost, why.String(), "lost: "+why.Meaning())
	}
	printRest(w, lost)
	printOnRotate(w, &s.OnRotate)
}

// printTold prints a count that is not zero, and takes it out.
func printTold(w io.Writer, counts map[string]uint64, name, meaning string) {
	if n := counts[name]; n > 0 {
		printLine(w, name, n, meaning)
	}
	delete(counts, name)
}

// printRest prints what a sensor of another version counts.
func printRest(w io.Writer, counts map[string]uint64) {
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		printTold(w, counts, name, "")
	}
}

// printOnRotate prints what became of finished files, where a command runs for them.
func printOnRotate(w io.Writer, k *admin.OnRotate) {
	if k.Done > 0 {
		printLine(w, "on_rotate", k.Done, "files whose command ended well")
	}
	if k.Failed > 0 {
		printLine(w, "on_rotate_failed", k.Failed, "files whose command did not")
	}
	if k.Skipped > 0 {
		printLine(w, "on_rotate_skipped", k.Skipped, "files whose command was not run")
	}
}

func printLine(w io.Writer, name string, n uint64, meaning string) {
	fmt.Fprintf(w, "%s\t%d\t  %s\n", name, n, meaning)
}

// logLedger writes the whole account in one line.
func logLedger(log *slog.Logger, l forward.Ledger) {
	attrs := countAttrs(&l.Total)
	for _, s := range l.Sources {
		attrs = append(attrs, slog.Group("source."+s.Name, countAttrs(&s.Counts)...))
	}
	for _, s := range l.Sinks {
		attrs = append(attrs, slog.Group("sink."+s.Name, sinkAttrs(&s)...))
	}
	log.Info("ledger", attrs...)
}

func countAttrs(c *transform.Counts) []any {
	dropped := []any{}
	for _, r := range transform.Reasons() {
		if n := c.Dropped[r]; n > 0 {
			dropped = append(dropped, slog.Uint64(r.String(), n))
		}
	}
	return []any{
		slog.Uint64("read", c.Read),
		slog.Uint64("records", c.Records),
		slog.Uint64("paired", c.Paired),
		slog.Uint64("held", c.Held),
		slog.Group("dropped", dropped...),
	}
}

func sinkAttrs(s *forward.SinkLedger) []any {
	return []any{
		slog.Uint64("offered", s.Offered),
		slog.Uint64("delivered", s.Delivered),
		slog.Uint64("queued", s.Queued),
		slog.Uint64("filtered", s.Filtered),
		slog.Any("lost", s.Lost),
		slog.Any("on_rotate", s.OnRotate),
	}
}
