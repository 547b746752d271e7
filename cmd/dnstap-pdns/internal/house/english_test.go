package house

import (
	"fmt"
	"go/ast"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// markers matches the words of a style that readers found hard to understand. "is no" is
// common English in "there is no" and "is no longer", which notMarkers contains.
var markers = regexp.MustCompile(`(?i)\b(behind|stands|besides?|tells?|told|whoever|whatever|nobody|somebody|is no|so many|mend(s|ed|ing)?|lies|astray)\b`)

// notMarkers matches text in which the words are allowed: quotations, code, and names.
var notMarkers = regexp.MustCompile("(?i)`[^`]*`|\"[^\"]*\"|there is no\\b|is no longer\\b|user nobody\\b|behind NAT")

// markerLimit is in percent of the lines of each kind of text.
const markerLimit = 1.0

// TestTextIsPlainEnglish checks that few lines contain marker words: in comments, in the strings
// of files without tests that contain a space, and in Markdown files.
func TestTextIsPlainEnglish(t *testing.T) {
	for kind, lines := range map[string][]textLine{
		"comments": commentLines(t), "string texts": stringLines(t), "Markdown text": markdownLines(t),
	} {
		var found []textLine
		for _, l := range lines {
			if markers.MatchString(notMarkers.ReplaceAllString(l.text, "")) {
				found = append(found, l)
			}
		}
		if len(lines) < 500 {
			t.Errorf("only %d lines of %s found: the test no longer checks anything", len(lines), kind)
			continue
		}
		share := 100 * float64(len(found)) / float64(len(lines))
		t.Logf("%s: %d of %d lines have a marker word (%.2f %%)", kind, len(found), len(lines), share)
		if share > markerLimit {
			t.Errorf("%s: %.2f %% of lines have a marker word, the limit is %.2f %%: reword some of these lines", kind, share, markerLimit)
			for _, l := range found {
				t.Logf("%s: %s", l.at, strings.TrimSpace(l.text))
			}
		}
	}
}

// A textLine is a line of text for people.
type textLine struct{ at, text string }

// add appends the lines of a text that are not empty.
func add(lines []textLine, at, text string) []textLine {
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) != "" {
			lines = append(lines, textLine{at, line})
		}
	}
	return lines
}

// commentLines returns the lines of all comments, without directives such as go:embed.
func commentLines(t *testing.T) (lines []textLine) {
	for _, s := range sources(t) {
		for _, g := range s.Comments {
			lines = add(lines, s.at(g), g.Text())
		}
	}
	return lines
}

// stringLines returns the lines of all strings outside of tests that contain a space.
func stringLines(t *testing.T) (lines []textLine) {
	for _, s := range sources(t) {
		if s.isTest() {
			continue
		}
		ast.Inspect(s.File, func(n ast.Node) bool {
			if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
				text, err := strconv.Unquote(l.Value)
				if err != nil {
					t.Fatalf("%s: %v", s.at(l), err)
				}
				if strings.Contains(text, " ") {
					lines = add(lines, s.at(l), text)
				}
			}
			return true
		})
	}
	return lines
}

// markdownLines returns the lines of all Markdown files of the module.
func markdownLines(t *testing.T) (lines []textLine) {
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && path != root):
			return filepath.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".md":
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		for i, line := range strings.Split(string(text), "\n") {
			lines = add(lines, fmt.Sprintf("%s:%d", name, i+1), line)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}
