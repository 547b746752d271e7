package conf

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestBlocksAreTheEffectiveConfiguration: settings are marked as changed if they differ from the
// default, and values of functions are not shown.
func TestBlocksAreTheEffectiveConfiguration(t *testing.T) {
	t.Setenv("PDNS_TEST_HIDDEN", "hidden")
	f := mustParse(t, `
source "dnstap" "a" {
  listen = "tcp://127.0.0.1:6000"
  tls {
    cert = env("PDNS_TEST_HIDDEN")
    key  = "key.pem"
  }
}
scrub {
  local_names = ["a.example", "b.example"]
  lookups     = "drop"
}
`)
	type key struct{ block, setting string }
	got := map[key]Setting{}
	for _, b := range f.Blocks() {
		for _, s := range b.Settings {
			s.Meaning = ""
			got[key{b.Title, s.Name}] = s
		}
	}
	for k, want := range map[key]Setting{
		{`source "dnstap" "a"`, "listen"}:          {Name: "listen", Value: `"tcp://127.0.0.1:6000"`, Changed: true},
		{`source "dnstap" "a"`, "max_connections"}: {Name: "max_connections", Value: "64"},
		{`source "dnstap" "a"`, "tls.cert"}:        {Name: "tls.cert", Value: `env("PDNS_TEST_HIDDEN")`, Changed: true},
		{"scrub", "local_names"}:                   {Name: "local_names", Value: `["a.example", "b.example"]`, List: true, Count: 2, Changed: true},
		{"scrub", "lookups"}:                       {Name: "lookups", Value: `"drop"`},
		{"scrub", "resolvers"}:                     {Name: "resolvers", Value: "[]", List: true},
		{"scrub", "root_servers"}:                  {Name: "root_servers", Value: "the root's 26 addresses", Words: true, List: true},
	} {
		if d := cmp.Diff(want, got[k]); d != "" {
			t.Errorf("%v: %s", k, d)
		}
	}
	if _, applies := got[key{`source "dnstap" "a"`, "mode"}]; applies {
		t.Error("mode does not apply to TCP")
	}
}

// TestTheExampleChangesNothing: no setting of dnstap-pdns.hcl differs from its default, except for
// addresses, and mtu, whose default depends on the address.
func TestTheExampleChangesNothing(t *testing.T) {
	src, err := os.ReadFile("dnstap-pdns.hcl")
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range mustParse(t, string(src)).Blocks() {
		for _, s := range b.Settings {
			if s.Changed && s.Name != "listen" && s.Name != "to" && s.Name != "mtu" {
				t.Errorf("%s.%s = %s differs from the default", b.Title, s.Name, s.Value)
			}
		}
	}
}
