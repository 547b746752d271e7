package admin

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/sensor"
	"github.com/dnstap-pdns/dnstap-pdns/collector"
	"github.com/dnstap-pdns/dnstap-pdns/collector/kafka"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/ring"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// counters returns the structs that count, with their rows.
func counters() map[string]struct {
	counts any
	rows   func() []transform.Row
} {
	messages, sink, spool, dnstap, packets, link := new(transform.Counts), new(forward.SinkLedger), new(forward.SpoolState), new(collector.Stats), new(pcap.Stats), new(ring.InterfaceStats)
	member, buffer, rrsets := new(kafka.Stats), new(forward.Buffered), new(forward.RRsets)
	return map[string]struct {
		counts any
		rows   func() []transform.Row
	}{
		"messages": {messages, func() []transform.Row { return slices.Concat(rowsOf(messages.Account()), messages.Scrubbing().Rows) }},
		"sink": {sink, func() []transform.Row {
			return slices.Concat(rowsOf(sink.Account()), sink.Filtered.Group().Rows, sink.Rows(), sink.OnRotate.Rows(), sink.Files.Rows(), sink.Network.Rows())
		}},
		"spool":  {spool, spool.Rows},
		"dnstap": {dnstap, dnstap.Rows},
		"packets": {packets, func() []transform.Row {
			return slices.Concat(packets.Rows(), packets.Rings.Rows(), packets.Packets.Rows())
		}},
		"interface": {link, link.Rows},
		"kafka":     {member, member.Rows},
		"buffer":    {buffer, buffer.Rows},
		"rrsets": {rrsets, func() []transform.Row {
			return slices.Concat(rrsets.Group().Rows, rrsets.Withholding().Rows, rrsets.Rows())
		}},
	}
}

func rowsOf(a transform.Account) []transform.Row {
	return slices.Concat(a.Whole, a.Parts, a.Lost.Rows)
}

// withoutRow are the numbers that have no row, with the reason.
var withoutRow = map[string]string{
	"messages.Dropped[0]":  "no reason has the number 0",
	"messages.Scrubbed[0]": "no rule has the number 0",

	"packets.Rings.Counts.Freezes": "the dropped packets show it",
	"interface.Counts.Freezes":     "the dropped packets show it",
	"interface.Counts.Damaged":     "the row is the source's, over all interfaces",

	"packets.Packets.Streams.CopiedBytes":   "nothing is lost: for tests",
	"packets.Packets.Streams.OutsideWindow": "nothing is lost: for tests",
	"packets.Packets.Streams.Rejected":      "nothing is lost: for tests",
	"packets.Packets.Streams.Begun":         "nothing is lost: for tests",
	"packets.Packets.Streams.Ended":         "nothing is lost: for tests",
	"packets.Packets.Streams.Streams":       "memory in use, which is bounded: for tests",
	"packets.Packets.Streams.Embryonic":     "memory in use, which is bounded: for tests",
	"packets.Packets.Streams.Bytes":         "memory in use, which is bounded: for tests",
}

// reasonsWithoutRow adds to withoutRow the reasons for which no RRset is withheld.
func reasonsWithoutRow() map[string]string {
	all := maps.Clone(withoutRow)
	for i := range len(forward.RRsets{}.Withheld) {
		if !slices.Contains(transform.RRsetReasons(), transform.Reason(i)) {
			all[fmt.Sprintf("rrsets.Withheld[%d]", i)] = "no RRset is withheld for this reason"
		}
	}
	return all
}

// numbers calls visit for each number in v, except numbers of defined types, such as enumerations,
// which are not counts.
func numbers(v reflect.Value, path string, visit func(path string, v reflect.Value)) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				numbers(v.Field(i), path+"."+f.Name, visit)
			}
		}
	case reflect.Array:
		for i := range v.Len() {
			numbers(v.Index(i), fmt.Sprintf("%s[%d]", path, i), visit)
		}
	default:
		if (v.CanInt() || v.CanUint()) && v.Type().PkgPath() == "" {
			visit(path, v)
		}
	}
}

func set(v reflect.Value, n uint64) {
	if v.CanInt() {
		v.SetInt(int64(n))
	} else {
		v.SetUint(n)
	}
}

// TestEveryCountHasARow sets each number, which must then be in some row.
func TestEveryCountHasARow(t *testing.T) {
	found, withoutRow := map[string]bool{}, reasonsWithoutRow()
	for name, c := range counters() {
		numbers(reflect.ValueOf(c.counts).Elem(), name, func(path string, v reflect.Value) {
			set(v, 1)
			shown := slices.ContainsFunc(c.rows(), func(r transform.Row) bool { return r.Value == 1 })
			set(v, 0)
			if why := withoutRow[path]; why != "" {
				found[path] = true
				if shown {
					t.Errorf("%s has a row, but withoutRow has %q", path, why)
				}
			} else if !shown {
				t.Errorf("%s has no row: add one, next to the count", path)
			}
		})
	}
	for _, path := range slices.Sorted(maps.Keys(withoutRow)) {
		if !found[path] {
			t.Errorf("withoutRow has %s, which does not exist", path)
		}
	}
}

// TestRowsAreComplete also checks that no two rows have the same metric.
func TestRowsAreComplete(t *testing.T) {
	metrics := map[string]string{}
	for name, c := range counters() {
		for _, r := range c.rows() {
			if r.Name == "" || r.Meaning == "" {
				t.Errorf("%s: %+v is incomplete", name, r)
			}
			if at := metrics[r.Metric]; at != "" {
				t.Errorf("metric %s of %s is also one of %s", r.Metric, name, at)
			}
			if r.Metric != "" {
				metrics[r.Metric] = name
			}
		}
	}
}

// TestLedgerAsJSONHasEveryRow: a ledger that was read from JSON has the same rows as the sensor's
// counts.
func TestLedgerAsJSONHasEveryRow(t *testing.T) {
	all := counters()
	next := uint64(1000)
	for _, c := range all {
		numbers(reflect.ValueOf(c.counts).Elem(), "", func(_ string, v reflect.Value) {
			next++
			set(v, next)
		})
	}
	messages, sink := all["messages"].counts.(*transform.Counts), all["sink"].counts.(*forward.SinkLedger)
	sink.Spool = all["spool"].counts.(*forward.SpoolState)
	dnstap, packets, link := all["dnstap"].counts.(*collector.Stats), all["packets"].counts.(*pcap.Stats), all["interface"].counts.(*ring.InterfaceStats)
	member, rrsets := all["kafka"].counts.(*kafka.Stats), all["rrsets"].counts.(*forward.RRsets)
	sink.Buffered, sink.RRsets = all["buffer"].counts.(*forward.Buffered), rrsets
	packets.Rings.Interfaces = []ring.InterfaceStats{*link}
	text, err := json.Marshal(Ledger{
		Total: MessagesOf(messages),
		Sources: []Source{
			{Messages: MessagesOf(messages), Dnstap: dnstapOf(&sensor.DnstapState{Stats: *dnstap})},
			{Pcap: packetsOf(&sensor.PacketStats{Stats: *packets})},
			{Kafka: kafkaOf(&sensor.KafkaStats{Stats: *member})},
		},
		Sinks: []Sink{SinkOf(sink)},
	})
	if err != nil {
		t.Fatal(err)
	}
	var l Ledger
	if err := json.Unmarshal(text, &l); err != nil {
		t.Fatal(err)
	}
	shown := slices.DeleteFunc(slices.Concat(prefixed("captures_", packets.Rows()), packets.Rings.Rows()), func(r transform.Row) bool { return r.Metric == "" })
	for name, rows := range map[string][2][]transform.Row{
		"all messages":   {rowsOf(messages.Account()), rowsOf(l.Total.Account())},
		"all rules":      {messages.Scrubbing().Rows, l.Total.Scrubbing().Rows},
		"a source":       {rowsOf(messages.Account()), rowsOf(l.Sources[0].Account())},
		"dnstap":         {dnstap.Rows(), l.Sources[0].Dnstap.Rows()},
		"packets":        {append(shown, packets.Packets.Rows()...), l.Sources[1].Pcap.Rows()},
		"interface":      {link.Rows(), l.Sources[1].Pcap.Interfaces[0].Rows()},
		"kafka":          {member.Rows(), l.Sources[2].Kafka.Rows()},
		"outcomes":       {rrsets.Group().Rows, l.Sinks[0].RRsets.ByOutcome().Rows},
		"sink":           {rowsOf(sink.Account()), rowsOf(l.Sinks[0].Account())},
		"sink, filtered": {sink.Filtered.Group().Rows, l.Sinks[0].Filtering().Rows},
		"sink, no records": {slices.Concat(sink.Rows(), prefixed("on_rotate_", sink.OnRotate.Rows()), prefixed("files_", sink.Files.Rows()),
			prefixed("network_errors_", sink.Network.Rows()), prefixed("spool_", sink.Spool.Rows()), sink.Buffered.Rows(),
			prefixed("rrsets_", rrsets.Rows()), prefixed("rrsets_withheld_", rrsets.Withholding().Rows)), l.Sinks[0].Rows()},
	} {
		if d := cmp.Diff(rows[0], rows[1]); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}
