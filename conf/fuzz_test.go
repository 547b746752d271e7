package conf

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
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

// FuzzLocalNamesFile checks that each line of a list of names either gives a name
// that the policy takes, or one diagnostic that points at it.
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
				t.Errorf("line %d is complained about twice", d.Subject.Start.Line)
			}
			lines[d.Subject.Start.Line] = true
			if at := d.Subject.SliceBytes(src); len(at) == 0 || bytes.ContainsAny(at, "#\n") {
				t.Errorf("a diagnostic points at %q", at)
			}
		}
		messages(t, file, s.diags)
		for _, n := range names {
			if _, err := transform.ParseLocalName(n); err != nil {
				t.Errorf("%q was taken: %v", n, err)
			}
		}
		if said := len(names) + len(s.diags); said > bytes.Count(src, []byte("\n"))+1 {
			t.Errorf("%d names and diagnostics of fewer lines", said)
		}
	})
}
