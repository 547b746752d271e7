package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/tools/go/packages"
)

const (
	module = "github.com/dnstap-pdns/dnstap-pdns"
	root   = "../../../.."
)

// A source is one parsed Go file of the module; test files are included.
type source struct {
	*ast.File
	fset *token.FileSet
	path string // relative to the module's root
}

func (s *source) folder() string { return filepath.Dir(s.path) }
func (s *source) isTest() bool   { return strings.HasSuffix(s.path, "_test.go") }

// at returns the position of a node, for messages.
func (s *source) at(n ast.Node) string {
	p := s.fset.Position(n.Pos())
	p.Filename = s.path
	return p.String()
}

// parsed parses every Go file of the module once.
var parsed = sync.OnceValues(func() (all []*source, err error) {
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && path != root):
			return filepath.SkipDir // contains no package of the module
		case d.IsDir() || !strings.HasSuffix(path, ".go"):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		s := &source{fset: token.NewFileSet()}
		if s.path, err = filepath.Rel(root, path); err != nil {
			return err
		}
		s.File, err = parser.ParseFile(s.fset, path, text, parser.ParseComments)
		all = append(all, s)
		return err
	})
	return all, err
})

// sources returns every file of the module.
func sources(t *testing.T) []*source {
	t.Helper()
	all, err := parsed()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 100 {
		t.Fatalf("only %d files below %s", len(all), root)
	}
	return all
}

// A checkedPackage is a type-checked package, without its tests.
type checkedPackage struct {
	*packages.Package
}

// name returns the package's folder, relative to the module's root.
func (r checkedPackage) name() string { return strings.TrimPrefix(r.PkgPath, module+"/") }

func (r checkedPackage) at(n ast.Node) string {
	p := r.Fset.Position(n.Pos())
	if abs, err := filepath.Abs(root); err == nil {
		p.Filename = strings.TrimPrefix(p.Filename, abs+"/")
	}
	return p.String()
}

// inspect visits every node of every file.
func (r checkedPackage) inspect(visit func(ast.Node) bool) {
	for _, f := range r.Syntax {
		ast.Inspect(f, visit)
	}
}

// callee returns the function that a call names. It is nil for a conversion, a builtin or
// a function value.
func (r checkedPackage) callee(call *ast.CallExpr) *types.Func {
	var id *ast.Ident
	switch f := ast.Unparen(call.Fun).(type) {
	case *ast.Ident:
		id = f
	case *ast.SelectorExpr:
		id = f.Sel
	}
	f, _ := r.TypesInfo.Uses[id].(*types.Func)
	return f
}

// loaded type-checks every package of the module once.
var loaded = sync.OnceValues(func() ([]*packages.Package, error) {
	return packages.Load(&packages.Config{
		Dir: root,
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedImports | packages.NeedTypes |
			packages.NeedSyntax | packages.NeedTypesInfo,
	}, "./...")
})

// checkedPackages returns every package of the module.
func checkedPackages(t *testing.T) []checkedPackage {
	t.Helper()
	all, err := loaded()
	if err != nil {
		t.Fatal(err)
	}
	var found []checkedPackage
	for _, p := range all {
		for _, e := range p.Errors {
			t.Fatal(e)
		}
		found = append(found, checkedPackage{p})
	}
	if len(found) < 10 {
		t.Fatalf("only %d packages below %s", len(found), root)
	}
	return found
}
