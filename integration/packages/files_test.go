package packages

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestManualPagesAreWellFormed checks the pages with mandoc. They have no date, because a build
// must not depend on one.
func TestManualPagesAreWellFormed(t *testing.T) {
	pages, err := filepath.Glob(root + "docs/man/*")
	if err != nil || len(pages) < 10 {
		t.Fatalf("%d pages: %v", len(pages), err)
	}
	out, _ := exec.Command("mandoc", append([]string{"-T", "lint", "-W", "warning"}, pages...)...).Output()
	for line := range strings.Lines(string(out)) {
		if !strings.Contains(line, `missing date, using "": TH`) {
			t.Error(line)
		}
	}
	if n := strings.Count(string(out), "missing date"); n != len(pages) {
		t.Errorf("mandoc has checked %d of %d pages", n, len(pages))
	}
}

// TestAppArmorSnippets compiles Debian's profiles with the snippets, as the files in
// /etc/apparmor.d/local.
func TestAppArmorSnippets(t *testing.T) {
	for _, name := range []string{"usr.sbin.unbound", "usr.sbin.named"} {
		base := t.TempDir()
		run(t, exec.Command("cp", "-a", "/etc/apparmor.d/.", base))
		snippet, err := os.ReadFile(root + "conf/package/apparmor/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(base, "local", name), snippet, 0o644); err != nil {
			t.Fatal(err)
		}
		compile := []string{"--base", base, "--skip-kernel-load", "--skip-cache", filepath.Join(base, name)}
		run(t, exec.Command("apparmor_parser", compile...))
		if out := run(t, exec.Command("apparmor_parser", append([]string{"--preprocess"}, compile...)...)); !strings.Contains(out, "/run/dnstap-pdns/*.sock rw,") {
			t.Errorf("%s does not include the snippet", name)
		}
	}
}
