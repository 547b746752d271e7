package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const examplePage = "# A page\n\n<!-- bench loads -->\nold\n\n| a |\n<!-- /bench loads -->\n\nbetween\n\n<!-- bench live -->\n<!-- /bench live -->\n"

// TestReplacedSectionLeavesTheRestOfThePage replaces a section that has text, and one that is empty.
func TestReplacedSectionLeavesTheRestOfThePage(t *testing.T) {
	page, err := replaceSection(examplePage, "loads", "new")
	if err != nil {
		t.Fatal(err)
	}
	if page, err = replaceSection(page, "live", "first"); err != nil {
		t.Fatal(err)
	}
	want := "# A page\n\n<!-- bench loads -->\nnew\n<!-- /bench loads -->\n\nbetween\n\n<!-- bench live -->\nfirst\n<!-- /bench live -->\n"
	if page != want {
		t.Errorf("got\n%s\nwant\n%s", page, want)
	}
}

// TestPageWithoutTheSectionIsAnError checks a page that lacks both comments, the first or the second.
func TestPageWithoutTheSectionIsAnError(t *testing.T) {
	for name, page := range map[string]string{
		"no section": "# A page\n",
		"no begin":   strings.Replace(examplePage, "<!-- bench live -->\n", "", 1),
		"no end":     strings.Replace(examplePage, "<!-- /bench live -->\n", "", 1),
	} {
		if got, err := replaceSection(page, "live", "new"); err == nil || !strings.Contains(err.Error(), "<!-- bench live -->") {
			t.Errorf("%s: error %v, page\n%s", name, err, got)
		}
	}
	path := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(path, []byte(examplePage), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := checkSections(path, []part{{name: "loads"}, {name: "live"}}); err != nil {
		t.Error(err)
	}
	if err := checkSections(path, []part{{name: "loads"}, {name: "spool"}}); err == nil {
		t.Error("no error for a part that the page lacks")
	}
}

// TestDocumentationHasTheSectionOfEveryPart checks the page that make bench writes.
func TestDocumentationHasTheSectionOfEveryPart(t *testing.T) {
	if err := checkSections("../../docs/performance.md", parts); err != nil {
		t.Error(err)
	}
}

// TestTableIsMarkdown checks the lines of a table.
func TestTableIsMarkdown(t *testing.T) {
	var r report
	r.table([]string{"load", "time"}, []string{"simple", "1 ns"})
	if want := "| load | time |\n|---|---|\n| simple | 1 ns |\n\n"; r.String() != want {
		t.Errorf("got %q, want %q", r.String(), want)
	}
}

func TestNumbersAreEasyToRead(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 123456: "123,456", 1234567: "1,234,567", -1234: "-1,234", -123: "-123"} {
		if got := thousands(n); got != want {
			t.Errorf("thousands(%d) = %q, want %q", n, got, want)
		}
	}
}
