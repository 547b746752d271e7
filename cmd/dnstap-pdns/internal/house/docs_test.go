package house

import (
	"go/ast"
	"go/token"
	"maps"
	"slices"
	"testing"
)

func TestEveryPackageHasOneComment(t *testing.T) {
	said := map[string]int{}
	for _, s := range sources(t) {
		if s.isTest() {
			continue
		}
		said[s.folder()] += 0
		if s.Doc != nil {
			said[s.folder()]++
		}
	}
	for _, folder := range slices.Sorted(maps.Keys(said)) {
		if n := said[folder]; n != 1 {
			t.Errorf("%s: %d files have a package comment, want 1", folder, n)
		}
	}
}

// TestEveryExportedNameIsDocumented checks every name that another package can use. A
// constant may be documented by its group or by its type.
func TestEveryExportedNameIsDocumented(t *testing.T) {
	documented := documentedTypes(t)
	names := 0
	for _, s := range sources(t) {
		if s.isTest() || s.Name.Name == "main" {
			continue
		}
		for _, d := range s.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if !d.Name.IsExported() || !ast.IsExported(receiver(d)) {
					continue
				}
				names++
				if d.Doc == nil {
					t.Errorf("%s: %s has no comment", s.at(d), d.Name)
				}
			case *ast.GenDecl:
				names += checkGroup(t, s, d, documented)
			}
		}
	}
	if names < 200 {
		t.Errorf("only %d exported names found: the test no longer checks anything", names)
	}
}

// documentedTypes returns the types that have a comment, by folder and name.
func documentedTypes(t *testing.T) map[[2]string]bool {
	all := map[[2]string]bool{}
	for _, s := range sources(t) {
		for _, d := range s.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range g.Specs {
				if spec, ok := spec.(*ast.TypeSpec); ok && (g.Doc != nil || spec.Doc != nil) {
					all[[2]string{s.folder(), spec.Name.Name}] = true
				}
			}
		}
	}
	return all
}

// receiver returns the name of a method's receiver type. For a function it returns an
// exported name, so that the caller checks the function's own name only.
func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return "Exported"
	}
	switch x := f.Recv.List[0].Type.(type) {
	case *ast.StarExpr:
		if id, ok := x.X.(*ast.Ident); ok {
			return id.Name
		}
	case *ast.Ident:
		return x.Name
	}
	return "Exported" // of a generic type
}

// checkGroup checks the types, constants and variables of one declaration and returns how
// many of them are exported.
func checkGroup(t *testing.T, s *source, g *ast.GenDecl, documented map[[2]string]bool) (names int) {
	documentedByType := false
	for _, spec := range g.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			if spec.Name.IsExported() {
				names++
				if g.Doc == nil && spec.Doc == nil {
					t.Errorf("%s: %s has no comment", s.at(spec), spec.Name)
				}
			}
		case *ast.ValueSpec:
			if id, ok := spec.Type.(*ast.Ident); ok && g.Tok == token.CONST {
				documentedByType = documented[[2]string{s.folder(), id.Name}]
			}
			for _, name := range spec.Names {
				if name.IsExported() {
					names++
					if g.Doc == nil && spec.Doc == nil && spec.Comment == nil && !documentedByType {
						t.Errorf("%s: %s has no comment", s.at(name), name)
					}
				}
			}
		}
	}
	return names
}
