package main

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"text/tabwriter"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/admin"
	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/sensor"
	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/shortage"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/packet"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// printLedger prints the accounts of the messages and of each sink as a table.
func printLedger(w io.Writer, l forward.Ledger) {
	t := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	defer t.Flush()
	printAccount(t, l.Total.Account(), "")
	for i := range l.Sinks {
		s := admin.SinkOf(&l.Sinks[i])
		printSink(t, &s)
	}
}

// printAccount prints an account in lines that add up. lost is printed before the meaning of each
// loss.
func printAccount(w io.Writer, a transform.Account, lost string) {
	for _, r := range a.ShownRows() {
		printRow(w, &r, "")
	}
	printCounters(w, a.Lost.Rows, lost)
}

func printSink(w io.Writer, s *admin.Sink) {
	a := s.Account()
	a.Whole[0].Meaning += fmt.Sprintf(", %q", s.Name)
	printAccount(w, a, "lost: ")
	printCounters(w, s.Filtering().Rows, "filtered: ")
	if s.RRsets != nil {
		printCounters(w, s.RRsets.ByOutcome().Rows, "RRsets: ")
	}
	printCounters(w, s.Rows(), "")
}

// printPackets prints the counters of packets, if there were packets.
func printPackets(w io.Writer, s *packet.Stats) {
	if s.Packets == 0 {
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	defer t.Flush()
	printCounters(t, s.Rows(), "")
}

// causesOf returns the reasons for few records in a replay.
func causesOf(total *transform.Counts, s *packet.Stats) []shortage.Cause {
	c := shortage.Counts{Messages: total}
	if s.Packets > 0 {
		c.Packets, c.Queries = s.Rows(), s.Queries.Senders.All()
	}
	return shortage.Causes(&c)
}

// printCauses prints the reasons for few records like warnings.
func printCauses(w io.Writer, causes []shortage.Cause) {
	for _, c := range causes {
		fmt.Fprintf(w, "few records: %s\n  %s\n", c.Says, c.Do)
	}
}

// printCounters prints the counters that are not zero. Gauges are in the lines that show
// the state of a source or sink.
func printCounters(w io.Writer, rows []transform.Row, prefix string) {
	for i := range rows {
		if rows[i].Kind == transform.Counter && rows[i].Value > 0 {
			printRow(w, &rows[i], prefix)
		}
	}
}

// printRow prints a row. A row of a sensor of another version may have no meaning.
func printRow(w io.Writer, r *transform.Row, prefix string) {
	if r.Meaning == "" {
		prefix = ""
	}
	fmt.Fprintf(w, "%s\t%d\t  %s%s\n", r.Name, r.Value, prefix, r.Meaning)
}

// logLedger logs the accounts of the messages, of each source and of each sink in one line.
func logLedger(log *slog.Logger, l forward.Ledger) {
	attrs := accountAttrs(l.Total.Account())
	for i := range l.Sources {
		s := &l.Sources[i]
		attrs = append(attrs, slog.Group("source."+s.Name, accountAttrs(s.Counts.Account())...))
	}
	for i := range l.Sinks {
		s := &l.Sinks[i]
		of := append(accountAttrs(s.Account()), slog.Group("filtered_by", nonzeroAttrs(s.Filtered.Group().Rows)...), slog.Group("on_rotate", nonzeroAttrs(s.OnRotate.Rows())...),
			slog.Group("files", nonzeroAttrs(s.Files.Rows())...),
			slog.Group("network_errors", nonzeroAttrs(s.Network.Rows())...))
		if s.RRsets != nil {
			of = append(of, slog.Group("rrsets", nonzeroAttrs(slices.Concat(s.RRsets.Group().Rows, s.RRsets.Rows()))...),
				slog.Group("rrsets_withheld", nonzeroAttrs(s.RRsets.Withholding().Rows)...))
		}
		attrs = append(attrs, slog.Group("sink."+s.Name, of...))
	}
	log.Info("ledger", attrs...)
}

// logPackets logs the counts of each packet source in one line.
func logPackets(log *slog.Logger, sources []sensor.PacketStats) {
	for i := range sources {
		s := &sources[i]
		kernel := rowAttrs(s.Rings.Rows())
		for j := range s.Rings.Interfaces {
			of := &s.Rings.Interfaces[j]
			kernel = append(kernel, slog.Group(of.Name, rowAttrs(of.Rows())...))
		}
		attrs := []any{slog.String("source", s.Name), slog.Group("captures", rowAttrs(s.Rows())...), slog.Group("kernel", kernel...)}
		log.Info("packets", append(attrs, nonzeroAttrs(s.Packets.Rows())...)...)
	}
}

// logKafka logs the counters of each Kafka source in one line, and its latest commit.
func logKafka(log *slog.Logger, sources []sensor.KafkaStats) {
	for i := range sources {
		s := &sources[i]
		attrs := append([]any{slog.String("source", s.Name)}, rowAttrs(slices.DeleteFunc(s.Rows(), func(r transform.Row) bool { return r.Kind != transform.Counter }))...)
		if !s.Committed.IsZero() {
			attrs = append(attrs, slog.Time("last_commit", s.Committed.UTC()))
		}
		log.Info("kafka", attrs...)
	}
}

func accountAttrs(a transform.Account) []any {
	attrs := append(rowAttrs(a.Whole), rowAttrs(a.Parts)...)
	return append(attrs, slog.Group(a.Lost.Name, nonzeroAttrs(a.Lost.Rows)...))
}

func rowAttrs(rows []transform.Row) []any {
	var attrs []any
	for i := range rows {
		attrs = append(attrs, slog.Uint64(rows[i].Name, rows[i].Value))
	}
	return attrs
}

func nonzeroAttrs(rows []transform.Row) []any {
	return rowAttrs(slices.DeleteFunc(rows, func(r transform.Row) bool { return r.Value == 0 }))
}
