package conf

import (
	"fmt"
	"strings"
	"testing"

	"gotest.tools/v3/golden"
)

func TestProbableMistakesGiveWarnings(t *testing.T) {
	f, diags := Load("testdata/warnings/all.hcl")
	if len(diags) > 0 {
		t.Fatal(messages(t, f, diags))
	}
	var output strings.Builder
	for _, w := range f.Warnings() {
		fmt.Fprintf(&output, "%s\n  %s\n", w.Problem, w.Advice)
	}
	golden.Assert(t, output.String(), "warnings/all.txt")
	for _, value := range []string{"co.uk", "github", "公司", "192.168.1.1", "12.0.0.0", "com.au"} {
		if strings.Contains(output.String(), value) {
			t.Errorf("a warning contains %q, which a log must not", value)
		}
	}
}

func TestOnlyAPublicAddressMakesTheResolverKnown(t *testing.T) {
	const (
		tap  = "source dnstap d {\nlisten = \"unix:///run/d.sock\"\n}\n"
		span = "source pcap p {\ninterface = \"eth1\"\nwhen = \"idle\"\nresolvers = [%q]\n}\n"
	)
	scrub := func(inside string, arg ...any) string { return "scrub {\n" + fmt.Sprintf(inside, arg...) + "\n}\n" }
	for name, tt := range map[string]struct {
		src  string
		want bool // a warning
	}{
		"nothing to read":              {"", false},
		"nothing named":                {tap, true},
		"addresses are kept":           {tap + scrub(`resolver_address = "keep"`), false},
		"public":                       {tap + scrub(`resolvers = ["192.0.2.53"]`), false},
		"public IPv6":                  {tap + scrub(`resolvers = ["2001:db8::53"]`), false},
		"one of them public":           {tap + scrub(`resolvers = ["10.0.0.53", "192.0.2.53"]`), false},
		"private":                      {tap + scrub(`resolvers = ["10.0.0.53"]`), true},
		"address of carrier-grade NAT": {tap + scrub(`resolvers = ["100.64.0.53"]`), true},
		"unique local":                 {tap + scrub(`resolvers = ["fd00::53"]`), true},
		"link-local":                   {tap + scrub(`resolvers = ["fe80::53"]`), true},
		"a prefix that identifies":     {tap + scrub(`resolvers = ["192.0.2.0/24"]`), false},
		"a prefix that does not":       {tap + scrub(`resolvers = ["192.0.2.0/23"]`), true},
		"IPv6 prefix":                  {tap + scrub(`resolvers = ["2001:db8::/48"]`), false},
		"an IPv6 prefix too short":     {tap + scrub(`resolvers = ["2001:db8::/47"]`), true},
		"from packets":                 {tap + fmt.Sprintf(span, "192.0.2.53"), false},
		"from packets, by a prefix":    {tap + fmt.Sprintf(span, "192.0.0.0/16"), false},
		"from packets, but private":    {tap + fmt.Sprintf(span, "10.0.0.53"), true},
		"packets, and public address":  {tap + fmt.Sprintf(span, "10.0.0.53") + scrub(`resolvers = ["192.0.2.53"]`), false},
	} {
		f := mustParse(t, tt.src)
		warnings := f.Warnings()
		if got := len(warnings) > 0; got != tt.want || len(warnings) > 1 {
			t.Errorf("%s: got %v, want a warning: %v", name, warnings, tt.want)
		}
	}
}

func TestCleanConfigurationGivesNoWarning(t *testing.T) {
	f := mustParse(t, `scrub {
  local_names        = ["corp.example", "univ.edu", "department.univ.ac.uk", "someone.github.io"]
  local_networks     = ["10.0.0.0/8", "2001::/16", "198.51.100.7"]
  resolvers          = ["10.0.0.0/8", "2001::/16"]
  lookups            = "keep"
  local_names_inside = "keep"
}`)
	if w := f.Warnings(); len(w) > 0 {
		t.Errorf("got %v", w)
	}
}
