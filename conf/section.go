package conf

import (
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// section is one block of the configuration, or one that was left out and
// stands with its defaults.
type section struct {
	*decoder
	schema   *blockSchema
	name     string              // second label, where there is one
	settings map[string]*setting // by attribute; those that do not apply are taken out
	opened   hcl.Range           // where the block begins; zero where it was left out
	inner    []*section          // blocks that stand in this one
}

// setting is one attribute of a block: what was written, or its default.
type setting struct {
	*attribute
	expr    hclsyntax.Expression // nil: left out
	value   cty.Value            // NilVal: missing or wrong, and reported
	at      hcl.Range            // of the value; zero where it was left out
	written []byte               // source text, where the expression calls a function; nil otherwise
}

// secret reports whether the value must not be shown.
func (s *setting) secret() bool { return s.written != nil }

// section reads a block and enters it among what Effective prints.
func (d *decoder) section(schema *blockSchema, block *hcl.Block) *section {
	s := d.read(schema, block)
	d.file.sections = append(d.file.sections, s)
	return s
}

// read reads a block's attributes and the blocks within it.
func (d *decoder) read(schema *blockSchema, block *hcl.Block) *section {
	s := &section{decoder: d, schema: schema, settings: map[string]*setting{}}
	content := &hcl.BodyContent{}
	if block != nil {
		var diags hcl.Diagnostics
		content, diags = block.Body.Content(schema.content())
		d.diags = append(d.diags, diags...)
		s.opened = block.DefRange
	}
	for i := range schema.attributes {
		a := &schema.attributes[i]
		s.settings[a.name] = d.setting(a, content.Attributes[a.name])
	}
	for i := range schema.blocks {
		b := &schema.blocks[i]
		if only := d.only(content.Blocks.OfType(b.name)); only != nil {
			s.inner = append(s.inner, d.read(b, only))
		}
	}
	return s
}

// within returns a block that stands in this one, or nil.
func (s *section) within(name string) *section {
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

// refuse says at the value's place why it is not taken, and what is. A secret
// value is not shown, and neither is an error that may hold it.
func (d *decoder) refuse(set *setting, at hcl.Range, problem string) {
	if set.secret() {
		problem = "the value, which is not shown because a function gives it, is not taken"
	}
	d.fail(at, set.name+": "+problem, fmt.Sprintf("%s takes %s.", set.name, set.wants()))
}

// isWritten reports whether the attribute stands in the file, right or wrong.
func (s *section) isWritten(name string) bool { return s.settings[name].expr != nil }

// doesNotApply takes attributes out of a section in which they mean nothing; to
// have written one is an error.
func (s *section) doesNotApply(why string, names ...string) {
	for _, name := range names {
		if set := s.settings[name]; set.expr != nil {
			s.fail(set.at, name+": "+why, "Remove it.")
		}
		delete(s.settings, name)
	}
}

// checkName reports a block name that could not stand in a log or a metric, or
// stands on another block of its kind.
func (s *section) checkName(at hcl.Range) {
	if !validName(s.name) {
		s.fail(at, "the name is not taken", "A name is 1 to 64 letters (a to z), digits, - and _.")
		return
	}
	s.unique(s.schema.name, s.name, at,
		fmt.Sprintf("a second %s named %q", s.schema.name, s.name), "give each its own name")
}

// defaultValue evaluates the default, which a test knows to be right.
func (a *attribute) defaultValue() cty.Value {
	expr, _ := hclsyntax.ParseExpression([]byte(a.value), "default", hcl.InitialPos)
	v, _ := expr.Value(nil)
	return v
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
