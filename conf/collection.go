package conf

import (
	"fmt"
	"slices"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/aggregate"
)

// onlyKafka returns those of the sources that read from Kafka.
func onlyKafka(sources []*section) (kafka []*section) {
	for _, s := range sources {
		if s.schema.typ == "kafka" {
			kafka = append(kafka, s)
		}
	}
	return kafka
}

// checkKafka checks what is around the Kafka sources: a sensor with one is a collection, whose other
// blocks mean other things.
func (d *decoder) checkKafka(sources, kafka []*section) {
	if len(kafka) == 0 {
		return
	}
	first := kafka[0]
	for _, s := range sources {
		if s.schema.typ != "kafka" {
			s.fail(s.header, "a Kafka source has to be the only kind of source: its sinks wait for room, and a resolver cannot wait",
				fmt.Sprintf("The Kafka source is at %s. Remove one of them, or run two sensors.", location(first.header)))
		}
	}
	for _, a := range d.aggregators {
		if set := a.settings["state"]; a.isWritten("state") && !a.hasText("state", "") {
			a.fail(set.at, "state: a sensor with a Kafka source has no state file: what it has not committed, it reads again",
				"Remove it.")
		}
	}
	d.warnOfCommits(kafka)
	d.warnOfScrub(first)
}

// warnOfCommits warns of sinks that do not confirm what the Kafka sources commit, and of windows that
// their commits end early.
func (d *decoder) warnOfCommits(kafka []*section) {
	outputs := d.file.Outputs()
	if len(outputs) > 0 && !slices.ContainsFunc(outputs, func(c forward.SinkConfig) bool { return c.Target.Scheme != forward.UDP }) {
		for _, s := range kafka {
			s.warn(unconfirmedCommit, s.header, "all sinks are udp://, so that a commit means only that the kernel took the datagrams",
				"Add a sink that confirms: file://, wss:// or kafka://. Without it, a datagram that is lost is not read again.")
		}
	}
	for i, a := range d.aggregators {
		window := d.file.Sinks[i].Transport.(aggregate.Config).Window
		for j, s := range kafka {
			if window > d.file.Kafka[j].Commit {
				a.warn(windowEndsEarly, a.valueOr("window", a.header), fmt.Sprintf("window: it ends at each commit of source %q, which are more frequent", s.name),
					"Set window to at most commit, or a longer commit: at each commit RRsets leave with what was counted so far, and those that release holds back are dropped.")
			}
		}
	}
}

// warnOfScrub warns of local names and networks if there is a sink of records: these were scrubbed
// elsewhere. RRsets are judged when they leave an aggregate.
func (d *decoder) warnOfScrub(kafka *section) {
	p := &d.file.Policy
	takesRecords := slices.ContainsFunc(d.file.Outputs(), func(c forward.SinkConfig) bool { return c.From == "" })
	if takesRecords && len(p.LocalNames)+len(p.LocalNetworks)+len(d.file.resolvers) > 0 {
		kafka.warn(scrubUnused, kafka.header, "local names, local networks and resolvers of the block scrub do not apply to the records that it reads, only to the RRsets that leave an aggregate block",
			"The sensors that write to the topic scrub records: name these in their configurations, or remove the sinks of records here.")
	}
}

// checkRelease reports blocks release that would never let an RRset leave, and warns of sinks next
// to them that get what they hold back.
func (d *decoder) checkRelease() {
	c := &d.file.Config
	var gate *section // the first block release
	for i, a := range d.aggregators {
		in := a.innerBlock("release")
		if in == nil {
			continue
		}
		if gate == nil {
			gate = in
		}
		n := c.Sinks[i].Transport.(aggregate.Config).Release
		if ids := c.sourceIDs(); len(c.Kafka) == 0 && len(ids) < n {
			in.fail(in.settings["sources"].at, fmt.Sprintf("sources: no RRset would leave, because the sources of this sensor have too few different source ids (%d, not counting 0)", len(ids)),
				`Read with a source "kafka" what several sensors send, give each source a block sensor with an id, or remove the block release.`)
		}
	}
	if gate == nil {
		return
	}
	for i, s := range d.outputs {
		if !d.isGated(&c.Sinks[len(d.aggregators)+i]) {
			s.warn(releaseBypassed, s.header, "it also gets what a block release holds back",
				fmt.Sprintf("The block is at %s. Remove the sink, unless only you read what it gets.", location(gate.header)))
		}
	}
}

// isGated reports whether a sink gets only what a block release has let through.
func (d *decoder) isGated(c *forward.SinkConfig) bool {
	return slices.ContainsFunc(d.aggregators, func(a *section) bool { return a.name == c.From && a.innerBlock("release") != nil })
}

// sourceIDs returns the different source ids of the sources, without 0.
func (c *Config) sourceIDs() []uint32 {
	var ids []uint32
	add := func(source string) {
		if id := c.IDsOf(source).Source; id != 0 && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	for i := range c.Sources {
		add(c.Sources[i].Name)
	}
	for i := range c.Packets {
		add(c.Packets[i].Name)
	}
	return ids
}
