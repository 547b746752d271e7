package conf

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// FuzzHCL checks that the only failures are diagnostics, and that the effective form of
// a valid configuration reads as the same configuration.
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
		"sink nmsg a {\nto = <<-E\n  ${env(\"PDNS_TEST_HIDDEN\")}\n  E\n}",
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
	const path = "testdata/valid/fuzz.hcl" // the folder of the files that the seeds name
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
			t.Fatalf("the printed configuration is refused:\n%s\n%s", printed, messages(t, again, diags))
		}
		if diff := cmp.Diff(first.Config, again.Config, sameAddresses); diff != "" {
			t.Fatalf("(-first +again):\n%s\nprinted:\n%s", diff, printed)
		}
		if !bytes.Equal(printed, again.Effective()) {
			t.Fatalf("the second output differs from the first:\n%s\n%s", printed, again.Effective())
		}
	})
}

// FuzzLocalNamesFile checks that each line of a list of names gives either a name that
// is valid in the policy, or one diagnostic with its position.
func FuzzLocalNamesFile(f *testing.F) {
	for _, path := range []string{"testdata/invalid/names-file.list", "testdata/valid/names.txt"} {
		src, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	f.Add([]byte("b\u00fccher.example # IDN\r\n\tcorp.example\t\n\n# none\n\xff\xfe.example\n*.example\n..\nno end of line"))
	f.Fuzz(func(t *testing.T, src []byte) {
		const path = "names.list"
		file := &File{sources: map[string][]byte{path: src}}
		s := &section{decoder: &decoder{file: file}}
		names, at := s.namesIn(path, src)
		if len(at) != len(names) {
			t.Errorf("%d lines of %d names", len(at), len(names))
		}
		lines := map[int]bool{}
		for _, d := range s.diags {
			if lines[d.Subject.Start.Line] {
				t.Errorf("line %d has two diagnostics", d.Subject.Start.Line)
			}
			lines[d.Subject.Start.Line] = true
			if at := d.Subject.SliceBytes(src); len(at) == 0 || bytes.ContainsAny(at, "#\n") {
				t.Errorf("a diagnostic points at %q", at)
			}
		}
		messages(t, file, s.diags)
		for _, n := range names {
			if _, err := transform.ParseLocalName(n); err != nil {
				t.Errorf("%q was accepted: %v", n, err)
			}
		}
		if results := len(names) + len(s.diags); results > bytes.Count(src, []byte("\n"))+1 {
			t.Errorf("%d names and diagnostics of fewer lines", results)
		}
	})
}
