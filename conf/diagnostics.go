package conf

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// WriteDiagnostics writes each diagnostic of f as
//
//	FILE:LINE:COLUMN: error: what is wrong
//	    LINE | the line
//	         |     ^^^^
//	  what to do
//
// Control characters of the line are escaped, and secret text in it is hidden.
func WriteDiagnostics(w io.Writer, f *File, diags hcl.Diagnostics) error {
	var b bytes.Buffer
	shown := map[string][]byte{} // by file name
	for i, d := range diags {
		if i > 0 {
			b.WriteByte('\n')
		}
		if d.Subject != nil {
			fmt.Fprintf(&b, "%s:%d: ", f.Place(d), d.Subject.Start.Column)
		}
		fmt.Fprintf(&b, "error: %s\n", EscapeText(d.Summary))
		if d.Subject != nil {
			name := d.Subject.Filename
			if shown[name] == nil {
				shown[name] = withoutSecretText(f.sources[name])
			}
			writeSnippet(&b, shown[name], *d.Subject)
		}
		if d.Detail != "" {
			fmt.Fprintf(&b, "  %s\n", EscapeText(d.Detail))
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// Place returns the position of a diagnostic of f as FILE:LINE, or "" if it has none.
// The name of local_names_file is masked if it is secret.
func (f *File) Place(d *hcl.Diagnostic) string {
	if d.Subject == nil {
		return ""
	}
	at := *d.Subject
	at.Filename = f.Mask(at.Filename)
	return location(at)
}

// location returns FILE:LINE, which editors understand.
func location(r hcl.Range) string { return fmt.Sprintf("%s:%d", Escape(r.Filename), r.Start.Line) }

// Limits of a snippet in bytes. A line may be long: it may contain a whole list.
const (
	snippetBefore = 60 // before the diagnostic's position
	snippetBytes  = 160
)

// writeSnippet writes the line in which at begins, with at underlined.
func writeSnippet(b *bytes.Buffer, src []byte, at hcl.Range) {
	if at.Start.Byte > len(src) || at.End.Byte > len(src) || at.End.Byte < at.Start.Byte {
		return
	}
	begin := bytes.LastIndexByte(src[:at.Start.Byte], '\n') + 1
	end := len(src)
	if i := bytes.IndexByte(src[at.Start.Byte:], '\n'); i >= 0 {
		end = at.Start.Byte + i
	}
	left, right := "", ""
	if begin < at.Start.Byte-snippetBefore {
		begin, left = at.Start.Byte-snippetBefore, "..."
	}
	if end > begin+snippetBytes {
		end, right = begin+snippetBytes, "..."
	}
	before := left + EscapeText(string(src[begin:at.Start.Byte]))
	marked := EscapeText(string(src[at.Start.Byte:max(at.Start.Byte, min(at.End.Byte, end))]))
	after := EscapeText(strings.TrimSuffix(string(src[at.Start.Byte:end]), "\r"))
	number := strconv.Itoa(at.Start.Line)
	fmt.Fprintf(b, "  %4s | %s%s%s\n", number, before, after, right)
	fmt.Fprintf(b, "  %4s | %s%s\n", strings.Repeat(" ", len(number)), spaces(before), strings.Repeat("^", max(1, width(marked))))
}

func width(v string) int { return len([]rune(v)) }

// spaces replaces each rune of v, except tabs, by a space.
func spaces(v string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, v)
}

// sortDiagnostics sorts by position: the configuration first, then other files.
func sortDiagnostics(diags hcl.Diagnostics, filename string) {
	slices.SortStableFunc(diags, func(a, b *hcl.Diagnostic) int {
		if a.Subject == nil || b.Subject == nil {
			return 0
		}
		return cmp.Or(
			cmp.Compare(rank(a, filename), rank(b, filename)),
			strings.Compare(a.Subject.Filename, b.Subject.Filename),
			cmp.Compare(a.Subject.Start.Byte, b.Subject.Start.Byte),
		)
	})
}

func rank(d *hcl.Diagnostic, filename string) int {
	if d.Subject.Filename == filename {
		return 0
	}
	return 1
}
