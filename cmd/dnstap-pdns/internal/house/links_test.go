package house

import (
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// link is the target of a link in Markdown.
var link = regexp.MustCompile(`\]\(<?([^()<>\s]+)>?(?: "[^"]*")?\)`)

// codeSpan is code in a line of Markdown. It contains no links.
var codeSpan = regexp.MustCompile("`[^`]*`")

// TestLinksOfTheDocumentationExist follows every relative link of every Markdown file: the
// file exists, and if the link has an anchor, the file has that heading.
func TestLinksOfTheDocumentationExist(t *testing.T) {
	headings := map[string]map[string]bool{} // by path of the Markdown file
	links := 0
	for _, name := range markdownFiles(t) {
		for _, l := range readMarkdown(t, name) {
			for _, m := range link.FindAllStringSubmatch(codeSpan.ReplaceAllString(l.text, ""), -1) {
				target, err := url.Parse(m[1])
				if err != nil {
					t.Errorf("%s:%d: %v", name, l.number, err)
					continue
				}
				if target.IsAbs() {
					continue
				}
				links++
				to := name
				if target.Path != "" {
					to = path.Join(path.Dir(name), target.Path)
				}
				if _, err := os.Stat(filepath.Join(root, to)); err != nil {
					t.Errorf("%s:%d: link %s: %v", name, l.number, m[1], err)
					continue
				}
				if target.Fragment == "" {
					continue
				}
				if headings[to] == nil {
					headings[to] = anchors(readMarkdown(t, to))
				}
				if !headings[to][target.Fragment] {
					t.Errorf("%s:%d: link %s: %s has no such heading", name, l.number, m[1], to)
				}
			}
		}
	}
	if links < 30 {
		t.Errorf("only %d links: the test shows nothing", links)
	}
}

// markdownFiles returns the paths of all Markdown files, relative to the module's root.
func markdownFiles(t *testing.T) []string {
	t.Helper()
	var all []string
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != "." && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		if !d.IsDir() && path.Ext(name) == ".md" {
			all = append(all, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// readMarkdown returns the lines of a Markdown file that are not in a fenced code block.
func readMarkdown(t *testing.T, name string) []docLine {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	var lines []docLine
	fenced, number := false, 0
	for line := range strings.Lines(string(raw)) {
		number++
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			fenced = !fenced
		} else if !fenced {
			lines = append(lines, docLine{number: number, text: strings.TrimSuffix(line, "\n")})
		}
	}
	return lines
}

// dropped are the characters that GitHub leaves out of a heading's anchor.
var dropped = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)

// anchors returns the anchors of the headings, as GitHub makes them: repeated headings get
// a number.
func anchors(lines []docLine) map[string]bool {
	all := map[string]bool{}
	repeated := map[string]int{}
	for _, l := range lines {
		heading := strings.TrimLeft(l.text, "#")
		if heading == l.text || !strings.HasPrefix(heading, " ") {
			continue
		}
		anchor := strings.ToLower(strings.TrimSpace(heading))
		anchor = strings.ReplaceAll(dropped.ReplaceAllString(anchor, ""), " ", "-")
		n := repeated[anchor]
		repeated[anchor]++
		if n > 0 {
			anchor = fmt.Sprintf("%s-%d", anchor, n)
		}
		all[anchor] = true
	}
	return all
}
