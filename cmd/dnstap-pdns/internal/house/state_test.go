package house

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
	"testing"
)

// enders end the process behind everybody's back.
var enders = map[string][]string{
	"os":      {"Exit"},
	"log":     {"Fatal", "Fatalf", "Fatalln", "Panic", "Panicf", "Panicln"},
	"runtime": {"Goexit"},
	"syscall": {"Exit", "Kill"},
}

// TestOnlyMainEndsTheProcess also finds panics: but for a must function, which
// holds what the source itself says to be right, whatever goes wrong is an error.
func TestOnlyMainEndsTheProcess(t *testing.T) {
	for _, r := range rooms(t) {
		for _, f := range r.Syntax {
			for _, d := range f.Decls {
				in, _ := d.(*ast.FuncDecl)
				ast.Inspect(d, func(n ast.Node) bool {
					call, ok := n.(*ast.CallExpr)
					if !ok {
						return true
					}
					if callee := r.callee(call); callee != nil && callee.Pkg() != nil &&
						slices.Contains(enders[callee.Pkg().Path()], callee.Name()) && !isMain(r, in) {
						t.Errorf("%s: %s outside main: return an error", r.at(call), callee.FullName())
					}
					if r.isBuiltin(call, "panic") && (in == nil || !strings.HasPrefix(in.Name.Name, "must")) {
						t.Errorf("%s: panic outside a must function: return an error", r.at(call))
					}
					return true
				})
			}
		}
	}
}

func isMain(r room, in *ast.FuncDecl) bool {
	return r.Name == "main" && in != nil && in.Recv == nil && in.Name.Name == "main"
}

func (r room) isBuiltin(call *ast.CallExpr, name string) bool {
	id, ok := ast.Unparen(call.Fun).(*ast.Ident)
	if !ok {
		return false
	}
	b, ok := r.TypesInfo.Uses[id].(*types.Builtin)
	return ok && b.Name() == name
}

func TestNothingHappensAtImport(t *testing.T) {
	for _, s := range sources(t) {
		for _, d := range s.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: an init function: let who needs it call it", s.at(f))
			}
		}
	}
}

// readOnly are the tables whose elements are passed around by address, and that
// nobody writes to.
var readOnly = map[string]bool{"conf.schema": true}

// TestNoPackageLevelState finds package-level variables that anything is done to:
// assigned to, in whole or in part, or given away by address, as methods with a
// pointer receiver do.
func TestNoPackageLevelState(t *testing.T) {
	for _, r := range rooms(t) {
		change := func(n ast.Node, x ast.Expr) {
			if v := r.packageVar(x); v != nil && !readOnly[v.Pkg().Name()+"."+v.Name()] {
				t.Errorf("%s: %s, a variable of package %s, is changed: let somebody own it", r.at(n), v.Name(), v.Pkg().Name())
			}
		}
		r.inspect(func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				for _, left := range n.Lhs {
					change(n, left)
				}
			case *ast.IncDecStmt:
				change(n, n.X)
			case *ast.RangeStmt:
				if n.Tok == token.ASSIGN {
					change(n, n.Key)
					change(n, n.Value)
				}
			case *ast.UnaryExpr:
				if n.Op == token.AND {
					change(n, n.X)
				}
			case *ast.SelectorExpr:
				if s := r.TypesInfo.Selections[n]; s != nil && s.Kind() == types.MethodVal && takesAddress(s) {
					change(n, n.X)
				}
			case *ast.CallExpr:
				for _, name := range []string{"delete", "clear", "copy"} {
					if r.isBuiltin(n, name) {
						change(n, n.Args[0])
					}
				}
			}
			return true
		})
	}
}

// takesAddress reports whether a method is called by the address of what is no
// pointer.
func takesAddress(s *types.Selection) bool {
	_, byPointer := s.Obj().(*types.Func).Signature().Recv().Type().(*types.Pointer)
	_, isPointer := s.Recv().Underlying().(*types.Pointer)
	return byPointer && !isPointer && !s.Indirect()
}

// packageVar is the package-level variable that x is, or is a part of.
func (r room) packageVar(x ast.Expr) *types.Var {
	for {
		switch e := ast.Unparen(x).(type) {
		case *ast.IndexExpr:
			x = e.X
		case *ast.SliceExpr:
			x = e.X
		case *ast.StarExpr:
			x = e.X
		case *ast.SelectorExpr:
			if v, ok := r.TypesInfo.Uses[e.Sel].(*types.Var); ok && !v.IsField() {
				return v // of another package
			}
			x = e.X
		case *ast.Ident:
			v, ok := r.TypesInfo.Uses[e].(*types.Var)
			if !ok || v.Pkg() == nil || v.Parent() != v.Pkg().Scope() {
				return nil
			}
			return v
		default:
			return nil
		}
	}
}
