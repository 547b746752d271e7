package conf

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Renewed reads local_names_file again, and not the configuration.
func TestRenewedReadsOnlyTheNames(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const config = "scrub {\n  local_names = [\"one.example\"]\n  local_names_file = \"names\"\n}\n"
	put("names", "two.example\n")
	put("c.hcl", config)
	f, diags := Load(filepath.Join(dir, "c.hcl"))
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if want := filepath.Join(dir, "names"); f.LocalNamesFile != want {
		t.Errorf("got %q, want %q", f.LocalNamesFile, want)
	}

	put("c.hcl", "scrub { half a configuration")
	put("names", "three.example # since today\n\nfour.example\n")
	next, diags := f.WithCurrentNames()
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	want := []string{"one.example", "three.example", "four.example"}
	if diff := cmp.Diff(want, next.Policy.LocalNames); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"one.example", "two.example"}, f.Policy.LocalNames); diff != "" {
		t.Errorf("the original changed, -want +got:\n%s", diff)
	}

	put("names", "five.example\nnot a name\n")
	bad, diags := next.WithCurrentNames()
	var output strings.Builder
	if err := WriteDiagnostics(&output, bad, diags); err != nil {
		t.Fatal(err)
	}
	if !diags.HasErrors() || !strings.Contains(output.String(), "names:2:1: error") || !strings.Contains(output.String(), "2 | not a name") {
		t.Errorf("got %s", &output)
	}

	put("names", "# none today\n")
	if _, diags = bad.WithCurrentNames(); !diags.HasErrors() ||
		!strings.Contains(diags.Error(), "c.hcl:3,22-29: local_names_file: the file contains no name") {
		t.Errorf("got %v", diags)
	}
	if err := os.Remove(filepath.Join(dir, "names")); err != nil {
		t.Fatal(err)
	}
	if _, diags = next.WithCurrentNames(); !diags.HasErrors() || !strings.Contains(diags.Error(), "local_names_file") {
		t.Errorf("got %v", diags)
	}
}

// The number of diagnostics is limited, so that they can be read.
func TestOnlyTheFirstBadNamesAreReported(t *testing.T) {
	dir := t.TempDir()
	for bad, want := range map[int]int{1: 1, 20: 20, 21: 21, 22: 21, 5000: 21} {
		for name, text := range map[string]string{
			"c.hcl": "scrub {\n  local_names_file = \"names\"\n}\n",
			"names": "one.example\n" + strings.Repeat("*\n\n", bad) + "two.example\n",
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, diags := Load(filepath.Join(dir, "c.hcl"))
		if len(diags) != want || !diags.HasErrors() {
			t.Fatalf("%d bad lines: %d diagnostics, want %d", bad, len(diags), want)
		}
		last := diags[len(diags)-1]
		if got := strings.Contains(last.Summary, "too many lines are not domain names"); got != (bad > 20) || last.Subject.Start.Line != 2*want {
			t.Errorf("%d bad lines: the last is %v", bad, last)
		}
	}
}

func TestRenewedWithoutAFileChangesNothing(t *testing.T) {
	f, diags := Parse("c.hcl", []byte("scrub {\n  local_names = [\"one.example\"]\n}\n"))
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	next, diags := f.WithCurrentNames()
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if diff := cmp.Diff(f.Policy, next.Policy, sameAddresses); diff != "" || f.LocalNamesFile != "" {
		t.Errorf("-want +got:\n%s%q", diff, f.LocalNamesFile)
	}
}
