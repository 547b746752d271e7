package conf

import (
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"
)

func TestDefaultsAreOfTheirKind(t *testing.T) {
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

func TestReferenceSaysEverything(t *testing.T) {
	rows := map[string]Row{}
	for _, r := range Reference() {
		if r.Takes == "" || r.Takes == "a string" || r.Default == "" || r.Meaning == "" {
			t.Errorf("row is incomplete: %+v", r)
		}
		if strings.Contains(r.Meaning, "|") || strings.Contains(r.Takes, "|") {
			t.Errorf("row cannot stand in a Markdown table: %+v", r)
		}
		rows[r.Block+"."+r.Attribute] = r
	}
	for key, want := range map[string]string{
		`source "dnstap" NAME.listen`:            "required",
		`source "dnstap" NAME.mode`:              `"0660"`,
		`source "dnstap" NAME { tls }.cert`:      "required",
		`source "dnstap" NAME { tls }.client_ca`: `""`,
		`sink "nmsg" NAME.mtu`:                   "UDP 8192 to loopback, else 1280; file and stdout 1 MiB",
		`pairing.timeout`:                        `"60s"`,
	} {
		if got := rows[key].Default; got != want {
			t.Errorf("default of %s: got %q, want %q", key, got, want)
		}
	}
}
