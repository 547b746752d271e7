package house

import (
	"bufio"
	"go/ast"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// architecture is the document that contains the map of files and the walks.
const architecture = "docs/architecture.md"

// A docLine is one line of a document.
type docLine struct {
	number  int
	section string // the latest heading, without number signs
	text    string
}

// readDoc returns the lines of a document that are not headings.
func readDoc(t *testing.T, name string) []docLine {
	t.Helper()
	f, err := os.Open(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var lines []docLine
	section := ""
	scan := bufio.NewScanner(f)
	for n := 1; scan.Scan(); n++ {
		if heading := strings.TrimLeft(scan.Text(), "#"); heading != scan.Text() {
			section = strings.TrimSpace(heading)
			continue
		}
		lines = append(lines, docLine{n, section, scan.Text()})
	}
	if err := scan.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

// mapLine matches a file and its description. The heading above it names the folder.
var mapLine = regexp.MustCompile("^- `([^`]+\\.go)`: (.+)$")

// TestMapHasALineForEveryFile compares the map of files with the files. Commands and the
// integration tests are included; test files are not.
func TestMapHasALineForEveryFile(t *testing.T) {
	mapped := map[string]int{}
	for _, l := range readDoc(t, architecture) {
		if m := mapLine.FindStringSubmatch(l.text); m != nil {
			mapped[path.Join(strings.Trim(l.section, "`"), m[1])] = l.number
		}
	}
	for _, s := range sources(t) {
		if s.isTest() {
			continue
		}
		if _, ok := mapped[s.path]; !ok {
			t.Errorf("%s has no line for %s", architecture, s.path)
		}
		delete(mapped, s.path)
	}
	for _, name := range slices.Sorted(maps.Keys(mapped)) {
		t.Errorf("%s:%d: there is no file %s", architecture, mapped[name], name)
	}
}

// walkLine matches one step of a walk: a file and its functions that a message passes.
var walkLine = regexp.MustCompile("^\\d+\\. `([^`]+\\.go)`: (.+)$")

// funcName matches a function or method in a step of a walk.
var funcName = regexp.MustCompile("`((?:\\(\\*?\\w+\\)\\.)?\\w+)`")

// TestWalksNeverReturnToAFile follows the walks of a message through the sensor: every
// function is in the file that the step names, and a walk names each file once.
func TestWalksNeverReturnToAFile(t *testing.T) {
	declared := map[string]map[string]bool{}
	for _, s := range sources(t) {
		declared[s.path] = functions(s)
	}
	steps := 0
	visited := map[string]map[string]bool{} // files, by walk
	for _, l := range readDoc(t, architecture) {
		m := walkLine.FindStringSubmatch(l.text)
		if m == nil {
			continue
		}
		steps++
		file := m[1]
		if declared[file] == nil {
			t.Errorf("%s:%d: there is no file %s", architecture, l.number, file)
			continue
		}
		names := funcName.FindAllStringSubmatch(m[2], -1)
		if len(names) == 0 {
			t.Errorf("%s:%d: the step names no function", architecture, l.number)
		}
		for _, name := range names {
			if !declared[file][name[1]] {
				t.Errorf("%s:%d: %s has no function %s", architecture, l.number, file, name[1])
			}
		}
		if visited[l.section] == nil {
			visited[l.section] = map[string]bool{}
		}
		if visited[l.section][file] {
			t.Errorf("%s:%d: the walk %q returns to %s", architecture, l.number, l.section, file)
		}
		visited[l.section][file] = true
	}
	if steps < 20 {
		t.Errorf("only %d steps found: the test no longer checks anything", steps)
	}
}

// lookup is a file, perhaps followed by a name in it, in the table of what to look for.
var lookup = regexp.MustCompile("`([^`]+\\.go)`(?:: `([^`]+)`(?:, `([^`]+)`)?)?")

// TestTheTableOfWhatToLookForIsTrue checks that files and names in the table exist.
func TestTheTableOfWhatToLookForIsTrue(t *testing.T) {
	names := map[string]map[string]bool{}
	for _, s := range sources(t) {
		names[s.path] = declarations(s)
	}
	entries := 0
	for _, l := range readDoc(t, architecture) {
		if l.section != "Where is what" || !strings.HasPrefix(l.text, "| ") {
			continue
		}
		for _, m := range lookup.FindAllStringSubmatch(l.text, -1) {
			entries++
			file := m[1]
			if strings.HasPrefix(file, "internal/") {
				file = "cmd/dnstap-pdns/" + file
			}
			if names[file] == nil {
				t.Errorf("%s:%d: there is no file %s", architecture, l.number, file)
				continue
			}
			for _, name := range m[2:] {
				if name != "" && !names[file][name] {
					t.Errorf("%s:%d: %s declares no %s", architecture, l.number, file, name)
				}
			}
		}
	}
	if entries < 30 {
		t.Errorf("only %d entries: the test shows nothing", entries)
	}
}

// declarations returns the functions of a file, and its types, variables and constants.
func declarations(s *source) map[string]bool {
	all := functions(s)
	for _, d := range s.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range g.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				all[spec.Name.Name] = true
			case *ast.ValueSpec:
				for _, n := range spec.Names {
					all[n.Name] = true
				}
			}
		}
	}
	return all
}

// functions returns the functions and methods of a file, as "Name", "(Type).Name" or
// "(*Type).Name".
func functions(s *source) map[string]bool {
	all := map[string]bool{}
	for _, d := range s.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		name := f.Name.Name
		if f.Recv != nil {
			name = "(" + receiverType(f.Recv.List[0].Type) + ")." + name
		}
		all[name] = true
	}
	return all
}

func receiverType(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return "*" + receiverType(e.X)
	case *ast.IndexExpr:
		return receiverType(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}
