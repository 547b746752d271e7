package conf

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gotest.tools/v3/golden"
)

// decided is a scrub block with the decisions whose absence gives a warning.
const decided = "scrub {\nresolvers = [\"192.0.2.53\"]\nlocal_names = []\nlocal_networks = []\n}\n"

// problems returns the problems of the warnings about a configuration.
func problems(f *File) (all []string) {
	for _, w := range f.Warnings() {
		all = append(all, w.Problem)
	}
	return all
}

// names returns the names of the warnings about a configuration.
func names(f *File) (all []string) {
	for _, w := range f.Warnings() {
		all = append(all, w.Name)
	}
	return all
}

func TestProbableMistakesGiveWarnings(t *testing.T) {
	setEnvironment(t)
	var given []string
	for _, path := range configurations(t, "warnings") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			f, diags := Load(path)
			if len(diags) > 0 {
				t.Fatal(messages(t, f, diags))
			}
			var output strings.Builder
			for _, w := range f.Warnings() {
				fmt.Fprintf(&output, "%s: %s: %s\n  %s\n", w.Place, w.Name, w.Problem, w.Advice)
			}
			golden.Assert(t, output.String(), goldenFile(path, ".txt"))
			for _, value := range []string{"co.uk", "github", "公司", "192.168.1.1", "12.0.0.0", "com.au", "203.0.113.9"} {
				if strings.Contains(output.String(), value) {
					t.Errorf("a warning contains %q, which a log must not", value)
				}
			}
			given = append(given, names(f)...)
		})
	}
	slices.Sort(given)
	if diff := cmp.Diff(slices.Sorted(slices.Values(WarningNames())), slices.Compact(given)); diff != "" {
		t.Errorf("names of warnings that the configurations gave (-want +got):\n%s", diff)
	}
}

// TestUnsetIsNotEmpty: [] is the decision that there are no local names or networks, also in
// the configuration that check prints.
func TestUnsetIsNotEmpty(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("names.list", []byte("corp.example\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	both := []string{localNamesUndecided, localNetworksUndecided}
	for src, want := range map[string][]string{
		"":                                    both,
		"scrub {\n}\n":                        both,
		"scrub {\nlocal_names_file = \"\"\n}": both,
		"scrub {\nlocal_names = []\n}":        both[1:],
		"scrub {\nlocal_networks = []\n}":     both[:1],
		"scrub {\nlocal_names_file = \"names.list\"\n}":                   both[1:],
		"scrub {\nlocal_names = [\"corp.example\"]\n}":                    both[1:],
		"scrub {\nlocal_networks = [\"10.0.0.0/8\"]\n}":                   both[:1],
		"scrub {\nlocal_names = []\nlocal_networks = []\n}":               nil,
		"scrub {\nlocal_names_file = \"names.list\"\nlocal_names = []\n}": both[1:],
	} {
		f := mustParse(t, src)
		if diff := cmp.Diff(want, names(f)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", src, diff)
		}
		again := mustParse(t, string(f.Effective()))
		if diff := cmp.Diff(want, names(again)); diff != "" {
			t.Errorf("%q, as printed (-want +got):\n%s", src, diff)
		}
	}
}

// TestBuiltInConfigurationLeavesDecisionsOpen: only the operator can make them.
func TestBuiltInConfigurationLeavesDecisionsOpen(t *testing.T) {
	f, diags := Default()
	if diags.HasErrors() {
		t.Fatal(messages(t, f, diags))
	}
	if diff := cmp.Diff([]string{localNamesUndecided, localNetworksUndecided, ResolverUnknown}, names(f)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestModesThatAdmitEveryUserGiveAWarning(t *testing.T) {
	for mode, want := range map[string][]string{
		"0660": nil, "0600": nil, "0664": nil, "0665": nil, "0620": nil,
		"0666": {socketForAll}, "0777": {socketForAll}, "0662": {socketForAll}, "002": {socketForAll},
	} {
		f := mustParse(t, fmt.Sprintf("source dnstap d {\nlisten = \"unix:///run/d.sock\"\nmode = %q\n}\n%s", mode, decided))
		if diff := cmp.Diff(want, names(f)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", mode, diff)
		}
	}
}

func TestOnlyAPublicAddressMakesTheResolverKnown(t *testing.T) {
	const (
		tap  = "source dnstap d {\nlisten = \"unix:///run/d.sock\"\n}\n"
		span = "source pcap p {\ninterface = \"eth1\"\nwhen = \"idle\"\nresolvers = [%q]\n}\n"
	)
	for name, tt := range map[string]struct {
		src, scrub string
		want       bool // a warning
	}{
		"nothing to read":              {"", "", false},
		"nothing named":                {tap, "", true},
		"addresses are kept":           {tap, `resolver_address = "keep"`, false},
		"public":                       {tap, `resolvers = ["192.0.2.53"]`, false},
		"public IPv6":                  {tap, `resolvers = ["2001:db8::53"]`, false},
		"one of them public":           {tap, `resolvers = ["10.0.0.53", "192.0.2.53"]`, false},
		"private":                      {tap, `resolvers = ["10.0.0.53"]`, true},
		"address of carrier-grade NAT": {tap, `resolvers = ["100.64.0.53"]`, true},
		"unique local":                 {tap, `resolvers = ["fd00::53"]`, true},
		"link-local":                   {tap, `resolvers = ["fe80::53"]`, true},
		"a prefix that identifies":     {tap, `resolvers = ["192.0.2.0/24"]`, false},
		"a prefix that does not":       {tap, `resolvers = ["192.0.2.0/23"]`, true},
		"IPv6 prefix":                  {tap, `resolvers = ["2001:db8::/48"]`, false},
		"an IPv6 prefix too short":     {tap, `resolvers = ["2001:db8::/47"]`, true},
		"from packets":                 {tap + fmt.Sprintf(span, "192.0.2.53"), "", false},
		"from packets, by a prefix":    {tap + fmt.Sprintf(span, "192.0.0.0/16"), "", false},
		"from packets, but private":    {tap + fmt.Sprintf(span, "10.0.0.53"), "", true},
		"packets, and public address":  {tap + fmt.Sprintf(span, "10.0.0.53"), `resolvers = ["192.0.2.53"]`, false},
	} {
		f := mustParse(t, tt.src+"scrub {\nlocal_names = []\nlocal_networks = []\n"+tt.scrub+"\n}\n")
		var want []string
		if tt.want {
			want = []string{ResolverUnknown}
		}
		if diff := cmp.Diff(want, names(f)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
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
