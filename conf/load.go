package conf

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

// Load reads a configuration file. See Parse.
func Load(path string) (*File, hcl.Diagnostics) {
	src, diags := readSource(path)
	if diags != nil {
		return &File{}, diags
	}
	return Parse(path, src)
}

// LoadAdmin reads only the block admin of a configuration file. The rest need not be valid, and
// its functions need not have a value.
func LoadAdmin(path string) (*File, hcl.Diagnostics) {
	src, diags := readSource(path)
	if diags != nil {
		return &File{}, diags
	}
	return parse(path, src, func(d *decoder, body hcl.Body) {
		content, _, diags := body.PartialContent(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{{Type: "admin"}}})
		d.diags = append(d.diags, diags...)
		d.file.Admin = d.single(content.Blocks.ByType(), "admin").admin()
	})
}

func readSource(path string) ([]byte, hcl.Diagnostics) {
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, hcl.Diagnostics{{
			Severity: hcl.DiagError,
			Summary:  "the configuration cannot be read: " + Escape(err.Error()),
			Detail:   "Name another file with -c, or make this one readable.",
		}}
	}
	return src, nil
}

// Parse reads a configuration from src. File names in it are relative to the folder
// of filename, which need not exist. After a syntax error only syntax errors are
// reported; otherwise all errors are reported at once. With errors, the File may be
// used for WriteDiagnostics only; it is never nil.
func Parse(filename string, src []byte) (*File, hcl.Diagnostics) {
	return parse(filename, src, (*decoder).decode)
}

func parse(filename string, src []byte, decode func(*decoder, hcl.Body)) (*File, hcl.Diagnostics) {
	f := &File{sources: map[string][]byte{filename: src}}
	parsed, diags := hclsyntax.ParseConfig(src, filename, hcl.InitialPos)
	if hasSyntaxError(diags) {
		sortDiagnostics(diags, filename)
		return f, shortened(diags)
	}
	dir := filepath.Dir(filename)
	d := decoder{
		file:  f,
		dir:   dir,
		eval:  &hcl.EvalContext{Functions: functions(dir)},
		first: map[uniqueKey]hcl.Range{},
		diags: diags,
	}
	decode(&d, parsed.Body)
	f.secrets.compile()
	sortDiagnostics(d.diags, filename)
	return f, d.diags
}

// maxSyntaxErrors is the number of syntax errors that are reported: the file may not be
// text at all.
const maxSyntaxErrors = 20

func shortened(diags hcl.Diagnostics) hcl.Diagnostics {
	if len(diags) <= maxSyntaxErrors {
		return diags
	}
	return append(diags[:maxSyntaxErrors:maxSyntaxErrors], &hcl.Diagnostic{
		Severity: hcl.DiagError,
		Summary:  fmt.Sprintf("%d more syntax errors are not shown", len(diags)-maxSyntaxErrors),
		Detail:   "If the file is a configuration, fix the first errors; they may cause the others. Otherwise name another file with -c.",
	})
}

// hasSyntaxError reports whether the file could not be parsed completely. A repeated
// attribute is an error of the parser too, but the rest of the file is parsed.
func hasSyntaxError(diags hcl.Diagnostics) bool {
	for _, d := range diags {
		if d.Severity == hcl.DiagError && d.Summary != "Attribute redefined" {
			return true
		}
	}
	return false
}

// decoder fills a File from HCL, and collects the diagnostics.
type decoder struct {
	file  *File
	dir   string // relative file names are relative to it
	eval  *hcl.EvalContext
	diags hcl.Diagnostics

	first map[uniqueKey]hcl.Range // where each value occurs first

	aggregators []*section // the aggregate blocks, which are the first sinks of file
	outputs     []*section // the sink blocks, which are the others
}

// uniqueKey is a value that only one block may have, for example a name or an address.
type uniqueKey struct{ kind, value string }

func (d *decoder) decode(body hcl.Body) {
	content, diags := body.Content(root())
	d.diags = append(d.diags, diags...)
	blocks := content.Blocks.ByType()
	c := &d.file.Config

	sources, packets := d.sources(blocks["source"])
	kafka := onlyKafka(sources)
	c.MaxQueries, c.Policy.PairingTimeout = d.single(blocks, "pairing").pairing()
	d.single(blocks, "outward").outward(&c.Policy)
	d.single(blocks, "scrub").scrub(&c.Policy)
	for _, p := range c.Packets {
		c.Policy.Resolvers = append(c.Policy.Resolvers, p.Resolvers...)
	}
	d.aggregates(blocks["aggregate"])
	for _, b := range blocks["sink"] {
		if s := d.typedSection(b); s != nil {
			d.outputs = append(d.outputs, s)
			c.Sinks = append(c.Sinks, s.sink(c.Policy.TimeResolution))
		}
	}
	for i := range c.Sinks {
		c.Sinks[i].Waits = len(kafka) > 0
	}
	d.warnOfUnread()
	c.IDs = d.single(blocks, "sensor").ids(nmsg.IDs{})
	c.SourceIDs = idsOfSources(sources, c.IDs)
	d.checkRelease()
	d.checkKafka(sources, kafka)
	c.Admin = d.single(blocks, "admin").admin()
	c.Log = d.single(blocks, "log").log()
	warnOfSources(packets, len(c.Sources) > 0)
}

// sources reads the source blocks, and returns all of them and the packet sources.
func (d *decoder) sources(blocks hcl.Blocks) (all []*section, packets []packetSource) {
	c := &d.file.Config
	for _, b := range blocks {
		s := d.typedSection(b)
		if s == nil {
			continue
		}
		all = append(all, s)
		switch s.schema.typ {
		case "pcap":
			p := packetSource{s, s.pcapSource()}
			packets = append(packets, p)
			c.Packets = append(c.Packets, p.config)
		case "kafka":
			c.Kafka = append(c.Kafka, s.kafkaSource())
		default:
			c.Sources = append(c.Sources, s.dnstapSource())
		}
	}
	return all, packets
}

// typedSection returns the section of a block that has a type and a name, or nil if
// the type is unknown.
func (d *decoder) typedSection(b *hcl.Block) *section {
	var types []string
	for i := range schema {
		s := &schema[i]
		if s.name != b.Type {
			continue
		}
		if s.typ == b.Labels[0] {
			return d.namedSection(s, b, 1)
		}
		types = append(types, s.opening())
	}
	d.fail(b.LabelRanges[0], fmt.Sprintf("unknown %s type %q", b.Type, b.Labels[0]),
		"This version has: "+strings.Join(types, ", ")+".")
	return nil
}

// namedSection returns the section of a block whose name is one of its labels.
func (d *decoder) namedSection(schema *blockSchema, b *hcl.Block, label int) *section {
	s := d.section(schema, b)
	s.name = b.Labels[label]
	s.checkName(b.LabelRanges[label])
	return s
}

// single returns the section of a block that may occur only once.
func (d *decoder) single(blocks map[string]hcl.Blocks, name string) *section {
	return d.section(schemaOf(name), d.firstBlock(blocks[name]))
}

// firstBlock returns the first block, or nil if there is none. Each further block is
// an error.
func (d *decoder) firstBlock(blocks hcl.Blocks) *hcl.Block {
	var first *hcl.Block
	for i, b := range blocks {
		if i == 0 {
			first = b
			continue
		}
		d.fail(b.DefRange, fmt.Sprintf("a second %q block", b.Type),
			fmt.Sprintf("The first is at %s; move all attributes there.", location(first.DefRange)))
	}
	return first
}

// unique reports an error if a block before has the same value of this kind. problem and
// remedy must not contain the value, which may be secret.
func (d *decoder) unique(kind, value string, at hcl.Range, problem, remedy string) {
	key := uniqueKey{kind, value}
	if first, seen := d.first[key]; seen {
		d.fail(at, problem, fmt.Sprintf("The other is at %s; %s.", location(first), remedy))
		return
	}
	d.first[key] = at
}

func (d *decoder) fail(at hcl.Range, summary, detail string) {
	d.diags = append(d.diags, &hcl.Diagnostic{
		Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: &at,
	})
}
