package conf

import (
	"cmp"
	"fmt"

	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
)

// A Block is a block of the effective configuration, for texts about it.
type Block struct {
	Kind     string // its first word, like "sink"
	Title    string // as it is opened, like sink "nmsg" "files"
	Settings []Setting
}

// A Setting is an attribute that applies, with its value or default.
type Setting struct {
	Name    string // the attribute; in an inner block, like keep.age
	Value   string // HCL; as written if it calls a function
	Words   bool   // Value is not HCL: it describes a default
	List    bool   // Value is a list of Count elements
	Count   int    // 0 for a default in words
	Changed bool   // Value is not the default
	Meaning string
}

// Blocks returns every block and attribute that applies, in the order of Effective.
func (f *File) Blocks() []Block {
	var all []Block
	for _, s := range f.sections {
		all = append(all, Block{s.schema.name, s.opening(), s.listed("")})
	}
	return all
}

func (s *section) opening() string {
	opening := s.schema.name
	if s.schema.typ != "" {
		opening += fmt.Sprintf(" %q", s.schema.typ)
	}
	if s.name != "" {
		opening += fmt.Sprintf(" %q", s.name)
	}
	return opening
}

// listed returns the settings of a section, and then those of its inner sections. prefix
// precedes their names.
func (s *section) listed(prefix string) (all []Setting) {
	for _, a := range s.schema.attributes {
		set, applies := s.settings[a.name]
		if !applies {
			continue
		}
		listed := Setting{
			Name:    prefix + a.name,
			Value:   set.text(),
			Words:   set.value == cty.NilVal && !set.secret(),
			List:    set.kind == listValue || set.kind == numbersValue,
			Changed: set.changed(),
			Meaning: a.meaning,
		}
		if listed.List && set.value != cty.NilVal {
			listed.Count = set.value.LengthInt()
		}
		all = append(all, listed)
	}
	for _, in := range s.inner {
		all = append(all, in.listed(prefix+in.schema.name+".")...)
	}
	return all
}

// text returns the value as Effective prints it.
func (s *setting) text() string {
	switch {
	case s.secret():
		return EscapeText(string(s.written))
	case s.value == cty.NilVal:
		return cmp.Or(s.derived, "required")
	}
	return string(hclwrite.TokensForValue(s.value).Bytes())
}

// changed reports whether the value is not the default. A value that a function gives counts
// as changed.
func (s *setting) changed() bool {
	switch {
	case s.expr == nil:
		return false
	case s.value == cty.NilVal || s.attribute.value == "" || s.secret():
		return true
	}
	standard, _ := convertTo(s.defaultValue(), s.kind) // a test converts all defaults
	return !s.value.RawEquals(standard)
}
