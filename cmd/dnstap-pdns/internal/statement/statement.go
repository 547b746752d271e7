package statement

import (
	"crypto/sha256"
	"fmt"
	"io"
	"strings"

	"github.com/dnstap-pdns/dnstap-pdns/conf"
)

// Subject is what a statement is about.
type Subject struct {
	File     *conf.File
	Name     string // of the configuration
	Option   string // -c FILE, quoted for a shell; empty if commands read this configuration without it
	Version  string // of the sensor
	Warnings []conf.Warning
}

// Write writes the statement.
func Write(w io.Writer, s *Subject) error {
	p := &page{}
	if s.Option != "" {
		p.option = " " + s.Option
	}
	s.introduction(p)
	p.heading(2, "Policy")
	for i, part := range []struct {
		title string
		write func(*page)
	}{
		{"Treatment of IP addresses", s.addresses},
		{"Data collection and sharing", s.collection},
		{"Exceptions", s.exceptions},
		{"Associated entities", s.entities},
		{"Correlation", s.correlation},
		{"Result filtering", s.filtering},
	} {
		p.heading(3, fmt.Sprintf("%d. %s", i+1, part.title))
		part.write(p)
	}
	p.heading(2, "Practice")
	for i, part := range []struct {
		title string
		write func(*page)
	}{
		{"Deviations from Policy", s.deviations},
		{"Client-facing capabilities", s.clientFacing},
		{"Upstream capabilities", s.upstream},
		{"Support", s.support},
		{"Data Processing", s.processing},
	} {
		p.heading(3, fmt.Sprintf("%d. %s", i+1, part.title))
		part.write(p)
	}
	_, err := io.WriteString(w, strings.ReplaceAll(p.String(), "\n\n\n", "\n\n"))
	return err
}

func (s *Subject) introduction(p *page) {
	fmt.Fprintf(p, `# Statement about passive DNS

The headings are those of RFC 8932, section 6.1. The text describes what the passive DNS sensor dnstap-pdns collects, removes, drops and
sends with one configuration. It does not describe the resolver. FILL IN marks what only the operator knows.

After each claim there is a command that proves it. CAPTURE is a file with the dnstap or the packets of the resolver, of a day or
more (docs/outputs.md). The capture contains personal data: it stays with the operator, and is deleted afterwards.

`)
	p.claim(fmt.Sprintf("Version %s, %s.", s.Version, conf.Escape(s.Name)),
		proof{"dnstap-pdns version", "prints the version"})
	p.claim("The statement is about this configuration and no other.",
		proof{fmt.Sprintf("dnstap-pdns check%s 2>/dev/null | sha256sum", p.option), fmt.Sprintf("prints %x", sha256.Sum256(s.File.Effective()))})
}

func (s *Subject) addresses(p *page) {
	if s.scrubbedElsewhere() {
		s.addressesElsewhere(p)
		return
	}
	p.fillIn("that IP addresses are treated as personal data, or why they are not")
	p.claim("Messages between the resolver and its clients are dropped by their type (dnstap) or addresses (packets), before their DNS content is read. "+
		"A record has no field for the address of a client.",
		p.ours("explain", "--canary ADDRESS CAPTURE", "counts such messages as `not_outward`, and searches every output record for the address of a client, given as ADDRESS"))
	p.claim("Client subnets (RFC 7871) are removed from queries and responses, together with the whole OPT record. A record that repeats a client subnet elsewhere is dropped.",
		p.ours("explain", "--hex CAPTURE", "shows the removed octets under `opt_removed` and `query_reduced`, and the dropped records under `client_subnet`"))
	if s.File.Policy.KeepResolver {
		p.claim("The address and port of the resolver and the DNS ID are kept. A resolver that one person uses identifies this person.",
			p.ours("check", "", "prints `resolver_address = \"keep\"`"))
	} else {
		p.claim("The address and port of the resolver and the DNS ID are zero in every record, and records that contain the address elsewhere are dropped.",
			p.ours("explain", "CAPTURE", "finds the resolver's addresses in 0 output records"))
	}
	p.claim("Records contain the addresses of authoritative servers, and the addresses in their answers, also those that point into the networks of the organisation. Both are published in the DNS.",
		p.ours("replay", "CAPTURE --to - | dnstap-pdns cat -", "prints every record that would leave"))
}

func (s *Subject) exceptions(p *page) {
	changed := false
	for _, b := range s.File.Blocks() {
		if b.Kind == "sink" || b.Kind == "source" {
			continue
		}
		for _, set := range b.Settings {
			if !set.Changed {
				continue
			}
			if !changed {
				p.WriteString("Settings that differ from the defaults of the sensor:\n")
				p.table("setting", "value", "meaning")
				changed = true
			}
			p.row("`"+b.Title+"."+set.Name+"`", shown(&b, &set), set.Meaning)
		}
	}
	if changed {
		p.WriteByte('\n')
	}
	p.claim("No other setting differs from the defaults of the sensor, except in its sources and sinks.",
		p.ours("check", "", "prints every setting; `docs/configuration.md` has the defaults"))
	p.claim("The status page "+shows(s.File.Admin.Samples)+".", p.ours("check", "", "prints `samples`"))
}

func shows(on bool) string {
	if on {
		return "shows the last 20 records that left, with their query names, to anyone who can reach its address"
	}
	return "and the metrics contain no query name and no address from DNS messages. On loopback only, a list names the registered domains that are dropped most"
}

func (s *Subject) entities(p *page) {
	leaves := false
	for _, b := range s.blocks("sink") {
		if way := wayOut(&b); way != "" {
			p.fillIn(fmt.Sprintf("who receives the records of `%s` through `%s`, and under which contract", b.Title, way))
			leaves = true
		}
	}
	if !leaves {
		p.claim("The sensor sends records to no other organisation: every sink is a file or the standard output of the sensor, and none runs a command.",
			p.ours("check", "", "prints every sink"))
	}
	p.fillIn("partners, affiliations and sources of funding")
}

func (s *Subject) correlation(p *page) {
	p.claim("The sensor does not combine DNS data with other data: its sources are its only input.",
		p.ours("check", "", "prints every source"))
	p.fillIn("whether the operator combines records with other data")
}

func (s *Subject) filtering(p *page) {
	if s.scrubbedElsewhere() {
		p.claim("The sensor is connected to no resolver, and cannot alter a response.", p.sourcesProof())
		return
	}
	p.claim("The sensor gets copies of messages. It sends nothing to clients or servers, and cannot alter a response.",
		proof{"systemctl stop dnstap-pdns.socket dnstap-pdns.service", "ends the sensor, and the resolver answers as before"})
	p.fillIn("whether the resolver filters or alters responses, and why")
}

func (s *Subject) deviations(p *page) {
	for _, w := range s.Warnings {
		p.fillIn(fmt.Sprintf("why this is so. %s. %s", s.File.Mask(w.Problem), strings.TrimSuffix(s.File.Mask(w.Advice), ".")))
	}
	if len(s.Warnings) == 0 {
		p.claim("The sensor warns of nothing in its configuration.", p.ours("check", "", "prints `0 warnings` in its last line"))
	}
	p.fillIn("temporary or permanent deviations from the policy")
}

func (s *Subject) clientFacing(p *page) {
	p.fillIn("transports, encryption and authentication that the resolver offers to clients. The sensor offers clients nothing")
}

func (s *Subject) upstream(p *page) {
	p.fillIn("what the resolver sends to authoritative servers: query name minimisation, client subnets, encryption. " +
		"The sensor sends them nothing; `dnstap-pdns selftest`, if the operator runs it, asks the resolver for two names that no user has asked for")
}

func (s *Subject) support(p *page) { p.fillIn("how to reach the operator") }

func (s *Subject) processing(p *page) {
	p.fillIn("where and under which law the resolver, this sensor and the receivers process data")
	if listen := s.File.Admin.Listen; listen != "" {
		p.claim(fmt.Sprintf("The status page answers at %s.", conf.Escape(listen)), p.ours("status", "", "asks that address"))
	}
}
