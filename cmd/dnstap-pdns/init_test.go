package main

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dnstap-pdns/dnstap-pdns/conf"
)

func TestTheOnlyInstalledResolverIsChosen(t *testing.T) {
	tests := []struct {
		named, installed string
		want, err        string
	}{
		{"", "bind", "bind", ""},
		{"knot", "bind", "knot", ""},
		{"", "", "", "found no resolver on this machine: name one of unbound, bind, pdns, knot"},
		{"", "unbound knot", "", "found Unbound and Knot Resolver on this machine: name one of"},
	}
	for _, tt := range tests {
		got, err := chooseSetup(tt.named, func(s conf.Setup) bool { return strings.Contains(tt.installed, s.Name) })
		if got.Name != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%q of %q: got %q, %v", tt.named, tt.installed, got.Name, err)
		}
	}
}

// TestInitWithoutAnAddress: directives and configuration are valid without addresses.
func TestInitWithoutAnAddress(t *testing.T) {
	for _, s := range conf.Setups()[:3] {
		directives, err := s.Directives(conf.Site{})
		if err != nil || directives == "" || strings.Contains(directives, "0.0.0.0") {
			t.Errorf("%s: %q, %v", s.Name, directives, err)
		}
		config, err := s.Config(conf.Site{})
		if err != nil {
			t.Fatal(err)
		}
		if f, diags := conf.Parse("c.hcl", []byte(config)); diags.HasErrors() || len(f.Policy.Resolvers) > 0 {
			t.Errorf("%s: %v\n%s", s.Name, diags, config)
		}
	}
}

// TestDocumentationShowsWhatInitPrints compares what init prints with docs/resolvers.md, whose
// set-ups the integration tests run.
func TestDocumentationShowsWhatInitPrints(t *testing.T) {
	raw := read(t, root+"docs/resolvers.md")
	at := conf.Site{Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.53"), netip.MustParseAddr("2001:db8:53::53")}}
	for name, title := range map[string]string{"unbound": "Unbound", "bind": "BIND", "pdns": "PowerDNS"} {
		setup, err := chooseSetup(name, nil)
		if err != nil {
			t.Fatal(err)
		}
		for part, text := range map[string]func(conf.Site) (string, error){"sensor": setup.Source, "resolver": setup.Directives} {
			_, rest, ok := strings.Cut(raw, "<!-- tried: "+title+", "+part+" -->\n```")
			_, rest, _ = strings.Cut(rest, "\n")
			got, _, closed := strings.Cut(rest, "```\n")
			if !ok || !closed {
				t.Fatalf("docs/resolvers.md has no block of %s, %s", title, part)
			}
			want, err := text(at)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("docs/resolvers.md, %s, %s (-init +docs):\n%s", title, part, diff)
			}
		}
	}
}
