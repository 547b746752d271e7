package statement

import (
	"fmt"
	"strings"
)

// A page is a statement in Markdown.
type page struct {
	strings.Builder
	option string // -c FILE for the commands, with a space before it, or empty
}

func (p *page) heading(level int, text string) {
	fmt.Fprintf(p, "\n%s %s\n\n", strings.Repeat("#", level), text)
}

// A proof is a command, and what it shows if the claim is true.
type proof struct{ command, shows string }

// ours returns a proof by a command of the sensor that takes -c.
func (p *page) ours(name, arguments, shows string) proof {
	return proof{strings.TrimSpace("dnstap-pdns " + name + p.option + " " + arguments), shows}
}

// claim writes a claim and its proof.
func (p *page) claim(text string, by proof) {
	fmt.Fprintf(p, "- %s\n  Proof: `%s` %s.\n", text, by.command, by.shows)
}

// fillIn writes what only the operator knows.
func (p *page) fillIn(text string) {
	fmt.Fprintf(p, "- FILL IN: %s.\n", text)
}

// row writes a row of a table.
func (p *page) row(cells ...string) {
	for i, c := range cells {
		cells[i] = strings.ReplaceAll(c, "|", `\|`)
	}
	fmt.Fprintf(p, "| %s |\n", strings.Join(cells, " | "))
}

// table writes the head of a table.
func (p *page) table(columns ...string) {
	p.WriteByte('\n')
	p.row(columns...)
	fmt.Fprintf(p, "|%s\n", strings.Repeat("---|", len(columns)))
}
