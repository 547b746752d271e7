package house

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
	"testing"
)

// enders lists, by package, the functions that end the process or the goroutine.
var enders = map[string][]string{
	"os":      {"Exit"},
	"log":     {"Fatal", "Fatalf", "Fatalln", "Panic", "Panicf", "Panicln"},
	"runtime": {"Goexit"},
	"syscall": {"Exit", "Kill"},
}

// TestOnlyMainEndsTheProcess also finds panics. A panic is allowed only in a function whose
// name starts with "must", for values that are constant in the source.
func TestOnlyMainEndsTheProcess(t *testing.T) {
	for _, r := range checkedPackages(t) {
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

func isMain(r checkedPackage, in *ast.FuncDecl) bool {
	return r.Name == "main" && in != nil && in.Recv == nil && in.Name.Name == "main"
}

func (r checkedPackage) isBuiltin(call *ast.CallExpr, name string) bool {
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
				t.Errorf("%s: an init function: call it from the code that needs it", s.at(f))
			}
		}
	}
}

// readOnly lists the tables that are never written to, although pointers to their elements
// are passed around.
var readOnly = map[string]bool{"conf.schema": true}

// TestNoPackageLevelState finds package-level variables that are assigned to, in whole or
// in part, or whose address is taken, as a call of a method with a pointer receiver does.
func TestNoPackageLevelState(t *testing.T) {
	for _, r := range checkedPackages(t) {
		change := func(n ast.Node, x ast.Expr) {
			if v := r.packageVar(x); v != nil && !readOnly[v.Pkg().Name()+"."+v.Name()] {
				t.Errorf("%s: %s, a variable of package %s, is modified: make it a field of a type", r.at(n), v.Name(), v.Pkg().Name())
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

// takesAddress reports whether a method call takes the address of its operand implicitly.
func takesAddress(s *types.Selection) bool {
	_, byPointer := s.Obj().(*types.Func).Signature().Recv().Type().(*types.Pointer)
	_, isPointer := s.Recv().Underlying().(*types.Pointer)
	return byPointer && !isPointer && !s.Indirect()
}

// packageVar returns the package-level variable that x is or is part of, or nil.
func (r checkedPackage) packageVar(x ast.Expr) *types.Var {
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
