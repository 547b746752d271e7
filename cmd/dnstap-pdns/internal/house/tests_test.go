package house

import (
	"go/ast"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// polls lists the helpers that may sleep, because they wait for another process or a real
// socket.
var polls = []string{"await", "awaitFor", "eventually", "delayFor"}

// TestNoTestSleeps checks that tests sleep in synctest bubbles only, where sleeping takes no
// real time. A helper may sleep if all of its calls are in bubbles.
func TestNoTestSleeps(t *testing.T) {
	sleeps := 0
	for _, files := range testsByPackage(t) {
		b := bubbles{files: files, known: map[string]bool{}}
		for _, s := range files {
			walk(s.File, func(path []ast.Node) {
				call, ok := path[len(path)-1].(*ast.CallExpr)
				if !ok || !calls(call, "time", "Sleep") {
					return
				}
				sleeps++
				if in := function(path); !slices.Contains(polls, in) && !b.holds(path) {
					t.Errorf("%s: %s sleeps outside a synctest bubble: use one, or wait for a condition in %v", s.at(call), in, polls)
				}
			})
		}
	}
	if sleeps < 10 {
		t.Errorf("only %d sleeps found in tests: this test no longer checks anything", sleeps)
	}
}

// testsByPackage groups the test files by folder and package name.
func testsByPackage(t *testing.T) map[string][]*source {
	all := map[string][]*source{}
	for _, s := range sources(t) {
		if s.isTest() {
			key := s.folder() + " " + s.Name.Name
			all[key] = append(all[key], s)
		}
	}
	return all
}

// walk visits every node, with the path of its enclosing nodes; the outermost is first.
func walk(f *ast.File, visit func(path []ast.Node)) {
	var path []ast.Node
	ast.Inspect(f, func(n ast.Node) bool {
		if n == nil {
			path = path[:len(path)-1]
			return true
		}
		path = append(path, n)
		visit(path)
		return true
	})
}

// function returns the name of the function that contains the node at the end of path.
func function(path []ast.Node) string {
	for _, n := range path {
		if f, ok := n.(*ast.FuncDecl); ok {
			return f.Name.Name
		}
	}
	return ""
}

func calls(call *ast.CallExpr, pkg, name string) bool {
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	id, ok := f.X.(*ast.Ident)
	return ok && id.Name == pkg && f.Sel.Name == name
}

// bubbles knows which functions of one package's tests run in a synctest bubble.
type bubbles struct {
	files []*source
	known map[string]bool // functions that are used in bubbles only
}

// holds reports whether the node at the end of path runs in a bubble.
func (b *bubbles) holds(path []ast.Node) bool {
	for _, n := range path {
		if call, ok := n.(*ast.CallExpr); ok && (calls(call, "synctest", "Test") || b.opens(call)) {
			return true
		}
	}
	return b.onlyInside(function(path))
}

// opens reports whether a call is of a helper that runs its function argument in a bubble.
func (b *bubbles) opens(call *ast.CallExpr) bool {
	name, ok := call.Fun.(*ast.Ident)
	if !ok {
		return false
	}
	runs := false
	for _, s := range b.files {
		walk(s.File, func(path []ast.Node) {
			inner, ok := path[len(path)-1].(*ast.CallExpr)
			if !ok || function(path) != name.Name {
				return
			}
			given, ok := inner.Fun.(*ast.Ident)
			runs = runs || ok && isParameter(path, given.Name) && slices.ContainsFunc(path, func(n ast.Node) bool {
				outer, ok := n.(*ast.CallExpr)
				return ok && calls(outer, "synctest", "Test")
			})
		})
	}
	return runs
}

// isParameter reports whether the function declaration on the path has a parameter of that
// name.
func isParameter(path []ast.Node, name string) bool {
	for _, n := range path {
		f, ok := n.(*ast.FuncDecl)
		if !ok {
			continue
		}
		for _, p := range f.Type.Params.List {
			if slices.ContainsFunc(p.Names, func(id *ast.Ident) bool { return id.Name == name }) {
				return true
			}
		}
	}
	return false
}

// onlyInside reports whether a function is used, and only inside bubbles.
func (b *bubbles) onlyInside(name string) bool {
	if in, known := b.known[name]; known || name == "" || strings.HasPrefix(name, "Test") {
		return in
	}
	b.known[name] = false // during the search: a recursive call must not count as a use in a bubble
	uses, inside := 0, 0
	for _, s := range b.files {
		walk(s.File, func(path []ast.Node) {
			id, ok := path[len(path)-1].(*ast.Ident)
			if !ok || id.Name != name || declares(path) {
				return
			}
			uses++
			if b.holds(path) {
				inside++
			}
		})
	}
	b.known[name] = uses > 0 && inside == uses
	return b.known[name]
}

// declares reports whether the identifier at the end of path is the name in a function
// declaration.
func declares(path []ast.Node) bool {
	f, ok := path[len(path)-2].(*ast.FuncDecl)
	return ok && f.Name == path[len(path)-1]
}

// TestNoTestIsSkipped finds skipped tests: they look passed although they did not run.
func TestNoTestIsSkipped(t *testing.T) {
	for _, s := range sources(t) {
		if !s.isTest() {
			continue
		}
		ast.Inspect(s.File, func(n ast.Node) bool {
			if f, ok := n.(*ast.SelectorExpr); ok && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, f.Sel.Name) {
				t.Errorf("%s: %s: fail the test if something is missing", s.at(f), f.Sel.Name)
			}
			return true
		})
	}
}

// leakless lists packages that start goroutines or sockets and have no tests. The tests of
// their importers check for leaks.
var leakless = []string{"forward/forwardtest"}

// TestEveryPackageThatStartsSomethingChecksForLeaks requires goleak in each package whose
// code or tests start goroutines or open sockets.
func TestEveryPackageThatStartsSomethingChecksForLeaks(t *testing.T) {
	starts, checks := map[string]string{}, map[string]bool{}
	for _, s := range sources(t) {
		ast.Inspect(s.File, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				starts[s.folder()] = s.at(n)
			case *ast.SelectorExpr:
				if id, ok := n.X.(*ast.Ident); ok && startsSomething(id.Name, n.Sel.Name) {
					starts[s.folder()] = s.at(n)
				}
			case *ast.FuncDecl:
				if s.isTest() && n.Name.Name == "TestMain" && imports(s, "go.uber.org/goleak") {
					checks[s.folder()] = true
				}
			}
			return true
		})
	}
	for _, folder := range slices.Sorted(maps.Keys(starts)) {
		if !checks[folder] && !slices.Contains(leakless, folder) {
			t.Errorf("%s: package %s has no TestMain with goleak", starts[folder], folder)
		}
	}
	if len(starts) < 4 {
		t.Errorf("only %d packages start something: the test no longer checks anything", len(starts))
	}
}

// TestPackagesWithoutRaceDetectorStartNoGoroutine reads the packages that make test runs without
// the race detector, from SINGLE in the Makefile. They start goroutines only in tests named
// AtTheSameTime, which run with the race detector too.
func TestPackagesWithoutRaceDetectorStartNoGoroutine(t *testing.T) {
	single := makeFolders(t, "SINGLE")
	if len(single) < 10 {
		t.Fatalf("only %v found in the Makefile", single)
	}
	for _, s := range sources(t) {
		if !slices.Contains(single, s.folder()) {
			continue
		}
		walk(s.File, func(path []ast.Node) {
			starts := false
			switch n := path[len(path)-1].(type) {
			case *ast.GoStmt:
				starts = true
			case *ast.SelectorExpr:
				starts = slices.Contains([]string{"Go", "AfterFunc", "Parallel"}, n.Sel.Name)
			}
			if starts && !strings.HasSuffix(function(path), "AtTheSameTime") {
				t.Errorf("%s: a goroutine in %s: remove the package from SINGLE in the Makefile", s.at(path[len(path)-1]), s.folder())
			}
		})
	}
}

// makeFolders returns the folders in a variable of the Makefile.
func makeFolders(t *testing.T, variable string) (folders []string) {
	t.Helper()
	command := exec.Command("make", "-s", "-f", "-", "-C", root, "print")
	command.Stdin = strings.NewReader("include Makefile\nprint:\n\t@echo $(" + variable + ")\n")
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%v: %v", command.Args, err)
	}
	for _, folder := range strings.Fields(string(out)) {
		folders = append(folders, strings.TrimPrefix(folder, "./"))
	}
	return folders
}

func startsSomething(pkg, name string) bool {
	return pkg == "net" && (strings.HasPrefix(name, "Listen") || strings.HasPrefix(name, "Dial")) ||
		name == "AfterFunc" || name == "Go" // of a WaitGroup
}

func imports(s *source, path string) bool {
	return slices.ContainsFunc(s.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == `"`+path+`"` })
}

// usedBy lists, for each function that decodes outputs, the functions that may use it.
var usedBy = map[string][]string{
	"Containers":  {"decodeAll", "countRecords", "rrsetsIn"},
	"Decode":      {"decodeAll"},
	"DecodeRRset": {"rrsetsIn"}, // Farsight's library has no dnsdedupe: cat and COF are compared with it
	"decodeAll":   {"decodeAll", "readPart", "readGaps", "TestReadersAgreeOnVectors"},
}

// TestOutputsAreReadInOnePlace checks that integration tests read outputs with readOutput,
// readOutputs, readPart or readGaps, which compare several independent decoders.
func TestOutputsAreReadInOnePlace(t *testing.T) {
	found := map[string]bool{}
	for _, s := range sources(t) {
		if s.folder() != "integration" {
			continue
		}
		walk(s.File, func(path []ast.Node) {
			id, ok := path[len(path)-1].(*ast.Ident)
			if !ok || usedBy[id.Name] == nil || id.Name != "decodeAll" && !ofPackage(path, "nmsgcheck") {
				return
			}
			found[id.Name] = true
			if in := function(path); !slices.Contains(usedBy[id.Name], in) {
				t.Errorf("%s: %s uses %s: use readOutput, which compares it with independent decoders", s.at(id), in, id.Name)
			}
		})
	}
	if len(found) != len(usedBy) {
		t.Errorf("found only %v", found)
	}
}

// ofPackage reports whether the identifier at the end of path is qualified by that package.
func ofPackage(path []ast.Node, pkg string) bool {
	f, ok := path[len(path)-2].(*ast.SelectorExpr)
	if !ok {
		return false
	}
	id, ok := f.X.(*ast.Ident)
	return ok && id.Name == pkg
}
