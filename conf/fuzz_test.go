package conf

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzHCL checks that no text makes the reader fail otherwise than with
// diagnostics, and that what it takes is printed such that it reads the same.
func FuzzHCL(f *testing.F) {
	setEnvironment(f)
	for _, folder := range []string{"valid", "invalid"} {
		for _, path := range configurations(f, folder) {
			src, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(src)
		}
	}
	for _, src := range []string{
		"sink nmsg a {\nto = <<E\nstdout:\nE\n}",
		"sink nmsg a {\nto = <<-E\n  ${env(\"PDNS_TEST_UNSAID\")}\n  E\n}",
		"sink nmsg a {\nto = trimmed\n}",
		"scrub { local_names = [for n in [\"a\", \"b\"]: \"${n}.example\"] }",
		"scrub { local_names = [for n in [env(\"PDNS_TEST_NAME\")]: \"a.${n}\"] }",
		"scrub { local_names = (\n[env(\"PDNS_TEST_NAME\")]\n) }",
		"source dnstap a { listen = \"unix:///$${x}/%%{y}\\u00e9\\\"\\\\\" }",
		"pairing { max_queries = 1e3 }",
		"\xef\xbb\xbflog {}",
	} {
		f.Add([]byte(src))
	}
	const path = "testdata/valid/fuzz.hcl" // so that the files there are found
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		first, diags := Parse(path, src)
		messages(t, first, diags)
		if diags.HasErrors() {
			return
		}
		printed := first.Effective()
		again, diags := Parse(path, printed)
		if diags.HasErrors() {
			t.Fatalf("refused what was printed:\n%s\n%s", printed, messages(t, again, diags))
		}
		if diff := cmp.Diff(first.Config, again.Config, sameAddresses); diff != "" {
			t.Fatalf("(-first +again):\n%s\nprinted:\n%s", diff, printed)
		}
		if !bytes.Equal(printed, again.Effective()) {
			t.Fatalf("printed otherwise the second time:\n%s\n%s", printed, again.Effective())
		}
	})
}
