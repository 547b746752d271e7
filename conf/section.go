package conf

import (
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// section is one block of the configuration. A block that is absent from the file
// has a section with the defaults.
type section struct {
	*decoder
	schema   *blockSchema
	name     string              // the last label, if there is one
	settings map[string]*setting // by attribute, without those that do not apply
	header   hcl.Range           // where the block begins; zero if it is absent
	inner    []*section          // the blocks in this one
}

// setting is one attribute of a block with its value, written or default.
type setting struct {
	*attribute
	expr    hclsyntax.Expression // nil: absent
	value   cty.Value            // NilVal: missing or invalid, and reported
	at      hcl.Range            // of the value; zero if it is absent
	written []byte               // source text if the expression calls a function, else nil
}

// secret reports whether the value must not be shown.
func (s *setting) secret() bool { return s.written != nil }

// section reads a block, and adds it to the blocks that Effective prints.
func (d *decoder) section(schema *blockSchema, block *hcl.Block) *section {
	s := d.read(schema, block)
	d.file.sections = append(d.file.sections, s)
	return s
}

// read reads the attributes of a block and the blocks in it. block is nil if absent.
func (d *decoder) read(schema *blockSchema, block *hcl.Block) *section {
	s := &section{decoder: d, schema: schema, settings: map[string]*setting{}}
	content := &hcl.BodyContent{}
	if block != nil {
		var diags hcl.Diagnostics
		content, diags = block.Body.Content(schema.content())
		d.diags = append(d.diags, diags...)
		s.header = block.DefRange
	}
	for i := range schema.attributes {
		a := &schema.attributes[i]
		s.settings[a.name] = d.setting(a, content.Attributes[a.name])
	}
	for i := range schema.blocks {
		b := &schema.blocks[i]
		if first := d.firstBlock(content.Blocks.OfType(b.name)); first != nil {
			s.inner = append(s.inner, d.read(b, first))
		}
	}
	return s
}

// innerBlock returns the block of that name in this one, or nil.
func (s *section) innerBlock(name string) *section {
	if i := slices.IndexFunc(s.inner, func(in *section) bool { return in.schema.name == name }); i >= 0 {
		return s.inner[i]
	}
	return nil
}

func (d *decoder) setting(a *attribute, written *hcl.Attribute) *setting {
	set := &setting{attribute: a}
	switch {
	case written != nil:
		set.expr = written.Expr.(hclsyntax.Expression)
		set.at = set.expr.Range()
		if callsFunction(set.expr) {
			set.written = set.at.SliceBytes(d.file.sources[set.at.Filename])
			d.noteFiles(set.expr)
		}
		d.evaluate(set)
	case a.value != "":
		set.value = a.defaultValue()
	}
	return set
}

// evaluate computes a setting's value and converts it to its kind's type.
func (d *decoder) evaluate(set *setting) {
	v, diags := set.expr.Value(d.eval)
	v, _ = v.UnmarkDeep()
	d.diags = append(d.diags, diags...)
	if diags.HasErrors() {
		return
	}
	v, problem := convertTo(v, set.kind)
	if problem != "" {
		d.refuse(set, set.at, problem)
		return
	}
	set.value = v
}

// refuse reports at the value's position why it is invalid, and which values are
// valid. It replaces problem if the value is secret, because problem may contain it.
func (d *decoder) refuse(set *setting, at hcl.Range, problem string) {
	if set.secret() {
		problem = "the value is not valid; it is not shown, because a function gives it"
	}
	d.fail(at, set.name+": "+problem, fmt.Sprintf("%s takes %s.", set.name, set.validValues()))
}

// isWritten reports whether the file contains the attribute, valid or not.
func (s *section) isWritten(name string) bool { return s.settings[name].expr != nil }

// doesNotApply removes attributes and blocks that have no meaning in the section. It is an
// error if the file contains one.
func (s *section) doesNotApply(why string, names ...string) {
	for _, name := range names {
		if in := s.innerBlock(name); in != nil {
			s.fail(in.header, name+": "+why, "Remove it.")
			s.inner = slices.DeleteFunc(s.inner, func(o *section) bool { return o == in })
		}
		if set := s.settings[name]; set != nil && set.expr != nil {
			s.fail(set.at, name+": "+why, "Remove it.")
		}
		delete(s.settings, name)
	}
}

// checkName reports a block name that is not valid, or that another block of its kind
// has.
func (s *section) checkName(at hcl.Range) {
	if !validName(s.name) {
		s.fail(at, "the name is not valid", "A name is 1 to 64 letters (a to z), digits, - and _.")
		return
	}
	if s.schema.named {
		s.unique("sink", s.name, at, fmt.Sprintf("another aggregate or sink is named %q", s.name), "give each its own name")
		return
	}
	s.unique(s.schema.name, s.name, at,
		fmt.Sprintf("a second %s named %q", s.schema.name, s.name), "give each its own name")
}

// defaultValue evaluates the default. It ignores errors: a test evaluates all defaults.
func (a *attribute) defaultValue() cty.Value {
	expr, _ := hclsyntax.ParseExpression([]byte(a.value), "default", hcl.InitialPos)
	v, _ := expr.Value(nil)
	return v
}

// noteFiles adds the files that an expression reads to those of the configuration, except files
// whose names are secret.
func (d *decoder) noteFiles(expr hclsyntax.Expression) {
	hclsyntax.VisitAll(expr, func(n hclsyntax.Node) hcl.Diagnostics {
		call, ok := n.(*hclsyntax.FunctionCallExpr)
		if !ok || call.Name != "file" || len(call.Args) != 1 || callsFunction(call.Args[0]) {
			return nil
		}
		if path, _ := call.Args[0].Value(d.eval); path.IsKnown() && path.Type() == cty.String && !path.IsNull() {
			d.file.ReadFiles = append(d.file.ReadFiles, inFolder(d.dir, path.AsString()))
		}
		return nil
	})
}

func callsFunction(expr hclsyntax.Expression) bool {
	found := false
	hclsyntax.VisitAll(expr, func(n hclsyntax.Node) hcl.Diagnostics {
		if _, ok := n.(*hclsyntax.FunctionCallExpr); ok {
			found = true
		}
		return nil
	})
	return found
}
