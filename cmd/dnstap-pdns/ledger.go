package main

import (
	"fmt"
	"io"
	"log/slog"
	"text/tabwriter"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// printLedger prints the whole account for people.
func printLedger(w io.Writer, l forward.Ledger) {
	t := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	printCounts(t, &l.Total)
	for i := range l.Sinks {
		printSink(t, &l.Sinks[i])
	}
	t.Flush()
}

// printCounts prints what was read and what became of it, in lines that add up.
func printCounts(w io.Writer, c *transform.Counts) {
	printLine(w, "read", c.Read, "messages, and frames that should have been one")
	printLine(w, "records", c.Records, "messages that became a record")
	printLine(w, "paired", c.Paired, "queries that found their response")
	if c.Held > 0 {
		printLine(w, "held", c.Held, "queries that wait for their response")
	}
	for _, r := range transform.Reasons() {
		if n := c.Dropped[r]; n > 0 {
			printLine(w, r.String(), n, r.Meaning())
		}
	}
}

func printSink(w io.Writer, s *forward.SinkLedger) {
	printLine(w, "offered", s.Offered, fmt.Sprintf("records, to sink %q", s.Name))
	printLine(w, "delivered", s.Delivered, fmt.Sprintf("in %d containers", s.Sent.Containers))
	if s.Queued > 0 {
		printLine(w, "queued", s.Queued, "waiting")
	}
	if s.Filtered > 0 {
		printLine(w, "filtered", s.Filtered, "the message type has no form for them")
	}
	for _, why := range forward.Losses() {
		if n := s.Lost[why]; n > 0 {
			printLine(w, why.String(), n, "lost: "+why.Meaning())
		}
	}
	printKicks(w, &s.OnRotate)
}

// printKicks prints what became of finished files, where a command runs for them.
func printKicks(w io.Writer, k *forward.Kicks) {
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
