package conf

import (
	"cmp"
	"fmt"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"
	"gotest.tools/v3/golden"
)

func TestDefaultsAreValid(t *testing.T) {
	for _, b := range schema {
		checkDefaults(t, b)
		for _, inner := range b.blocks {
			checkDefaults(t, inner)
		}
	}
}

func checkDefaults(t *testing.T, b blockSchema) {
	t.Helper()
	for _, a := range b.attributes {
		if a.value == "" {
			continue
		}
		v := a.defaultValue()
		if v == cty.NilVal || !v.IsWhollyKnown() {
			t.Errorf("%s.%s: default %s does not evaluate", b.name, a.name, a.value)
			continue
		}
		if _, problem := convertTo(v, a.kind); problem != "" {
			t.Errorf("%s.%s: default %s: %s", b.name, a.name, a.value, problem)
		}
	}
}

// A row is one attribute of the configuration in docs/configuration.md.
type row struct {
	block     string // source "dnstap" NAME, or within another block: source "dnstap" NAME { tls }
	attribute string
	takes     string // the valid values
	standard  string // the default as HCL, or in words; or "required"
	meaning   string
}

// reference returns every attribute, in the schema's order.
func reference() []row {
	var rows []row
	add := func(block string, b *blockSchema) {
		for _, a := range b.attributes {
			standard := cmp.Or(a.value, a.derived, "required")
			rows = append(rows, row{block, a.name, a.validValues(), standard, a.meaning})
		}
	}
	for i := range schema {
		b := &schema[i]
		add(b.opening(), b)
		for j := range b.blocks {
			add(fmt.Sprintf("%s { %s }", b.opening(), b.blocks[j].name), &b.blocks[j])
		}
	}
	return rows
}

// TestReference compares the schema with reference.md, which docs/configuration.md contains.
func TestReference(t *testing.T) {
	var b strings.Builder
	b.WriteString("| block | attribute | default | takes | meaning |\n|---|---|---|---|---|\n")
	for _, r := range reference() {
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s | %s |\n", r.block, r.attribute, r.standard, r.takes, r.meaning)
	}
	golden.Assert(t, b.String(), "reference.md")
}

func TestReferenceIsComplete(t *testing.T) {
	rows := map[string]row{}
	for _, r := range reference() {
		if r.takes == "" || r.takes == "a string" || r.standard == "" || r.meaning == "" {
			t.Errorf("row is incomplete: %+v", r)
		}
		if strings.Contains(r.meaning, "|") || strings.Contains(r.takes, "|") {
			t.Errorf("row does not fit into a Markdown table: %+v", r)
		}
		rows[r.block+"."+r.attribute] = r
	}
	for key, want := range map[string]string{
		`source "dnstap" NAME.listen`:            "required",
		`source "dnstap" NAME.mode`:              `"0660"`,
		`source "dnstap" NAME { tls }.cert`:      "required",
		`source "dnstap" NAME { tls }.client_ca`: `""`,
		`sink "nmsg" NAME.mtu`:                   "UDP 8192 to loopback, else 1280; Kafka 256 KiB; others 1 MiB",
		`pairing.timeout`:                        `"60s"`,
	} {
		if got := rows[key].standard; got != want {
			t.Errorf("default of %s: got %q, want %q", key, got, want)
		}
	}
}
