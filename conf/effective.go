package conf

import (
	"bytes"
	"fmt"
	"io"

	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
)

// Write writes the effective configuration; see Effective.
func (f *File) Write(w io.Writer) error {
	_, err := w.Write(f.Effective())
	return err
}

// Effective returns the configuration as HCL with every block and attribute that
// applies, and with defaults filled in; a default without an expression becomes a
// comment. Loaded from the same folder, with the same environment, it gives the same
// Config. Expressions that call functions are printed as written, never as
// their value; control characters in them are escaped.
func (f *File) Effective() []byte {
	var b bytes.Buffer
	for i, s := range f.sections {
		if i > 0 {
			b.WriteByte('\n')
		}
		s.print(&b)
	}
	return hclwrite.Format(b.Bytes())
}

func (s *section) print(b *bytes.Buffer) {
	b.WriteString(s.opening() + " {\n")
	for _, a := range s.schema.attributes {
		set, applies := s.settings[a.name]
		switch {
		case !applies:
		case set.expr == nil && set.value == cty.NilVal:
			fmt.Fprintf(b, "# %s: %s\n", a.name, a.derived)
		default:
			fmt.Fprintf(b, "%s = %s\n", a.name, set.text())
		}
	}
	for _, in := range s.inner {
		b.WriteByte('\n')
		in.print(b)
	}
	b.WriteString("}\n")
}
