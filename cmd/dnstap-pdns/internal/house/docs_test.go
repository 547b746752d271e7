package house

import (
	"go/ast"
	"go/token"
	"maps"
	"slices"
	"testing"
)

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
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
			t.Errorf("%s: %d files have a package comment, one is to", folder, n)
		}
	}
}

// TestEveryExportedNameIsDocumented looks at whatever another package can name:
// constants may be documented as a group, or by the type that they have.
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
		t.Errorf("only %d exported names: the test shows nothing", names)
	}
}

// documentedTypes are those with a comment, by folder and name.
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

// receiver is the type whose method a function is, or, of none, a name that is
// exported.
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

func checkGroup(t *testing.T, s *source, g *ast.GenDecl, documented map[[2]string]bool) (names int) {
	saidByType := false
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
				saidByType = documented[[2]string{s.folder(), id.Name}]
			}
			for _, name := range spec.Names {
				if name.IsExported() {
					names++
					if g.Doc == nil && spec.Doc == nil && spec.Comment == nil && !saidByType {
						t.Errorf("%s: %s has no comment", s.at(name), name)
					}
				}
			}
		}
	}
	return names
}
