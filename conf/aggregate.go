package conf

import (
	"errors"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/aggregate"
)

// aggregates reads the aggregate blocks. Each is a sink of records, before the sinks of its RRsets.
func (d *decoder) aggregates(blocks hcl.Blocks) {
	for _, b := range blocks {
		s := d.namedSection(schemaOf("aggregate"), b, 0)
		d.aggregators = append(d.aggregators, s)
		d.file.Sinks = append(d.file.Sinks, s.aggregate())
	}
}

func (s *section) aggregate() forward.SinkConfig {
	c := s.anySink()
	c.Name = s.name
	c.Target = forward.Target{Scheme: forward.Aggregate}
	c.MTU = c.Target.DefaultMTU()
	c.Format = aggregate.Format{}
	if in := s.innerBlock("policy"); in != nil {
		c.Filter = in.recordsFilter()
	}
	a := aggregate.Config{
		Window:        s.readDuration("window"),
		MaxEntries:    int(s.readNumber("max_entries")),
		MaxBytes:      s.readSize("max_bytes"),
		Insertions:    s.readFlag("insertions"),
		State:         s.stateFile(),
		BailiwickWait: s.readDuration("bailiwick_wait"),
		RootServers:   s.file.Policy.RootServers,
	}
	if path := readText(s, "root_zone", parsePath); path != "" {
		a.RootZone = inFolder(s.dir, path)
	}
	if in := s.innerBlock("release"); in != nil {
		a.Release = int(in.readNumber("sources"))
	}
	c.Transport = a
	return c
}

// stateFile reads the path of the state file. Two aggregates with one file would replace each
// other's state.
func (s *section) stateFile() string {
	path := readText(s, "state", func(v string) (string, error) {
		if v == "" {
			return "", nil
		}
		return parseFolder(v)
	})
	if path != "" {
		s.unique("state", path, s.settings["state"].at, "state: another aggregate has this file", "give each its own")
	}
	return path
}

// feedRRsets reads which aggregate block feeds a sink. attribute says that the sink gets RRsets.
func (s *section) feedRRsets(c *forward.SinkConfig, attribute string) {
	set := s.settings[attribute]
	switch {
	case len(s.aggregators) == 0:
		s.fail(set.at, attribute+": the sink gets RRsets, and no aggregate block makes any", `Add aggregate "rrsets" {}.`)
	case s.isWritten("from"):
		c.From = readText(s, "from", s.parseFrom)
	case len(s.aggregators) == 1:
		c.From = s.aggregators[0].name
		s.settings["from"].value = cty.StringVal(c.From)
	default:
		s.require("from", "there are several aggregate blocks, and without it the sink has none")
	}
}

func (s *section) parseFrom(v string) (string, error) {
	if !slices.ContainsFunc(s.aggregators, func(a *section) bool { return a.name == v }) {
		return "", errors.New("no aggregate block has this name")
	}
	return v, nil
}

// warnOfUnread warns of aggregate blocks whose RRsets no sink gets.
func (d *decoder) warnOfUnread() {
	for _, a := range d.aggregators {
		if !slices.ContainsFunc(d.file.Sinks, func(c forward.SinkConfig) bool { return c.From == a.name }) {
			a.warn(unreadAggregate, a.header, "no sink gets its RRsets",
				`Add a sink "nmsg" with message = "dnsdedupe", or a sink "json" with format = "cof", or remove the block.`)
		}
	}
}
