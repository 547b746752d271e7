package house

import (
	"go/ast"
	"go/types"
	"testing"
)

// frameUsers are the packages that may use transform.Message.Frame: a frame contains what must
// never leave, such as the resolver's identity, so no record may be made from it.
var frameUsers = map[string]bool{
	"collector":                        true, // it sets the field
	"cmd/dnstap-pdns/internal/explain": true, // it reports that nothing of the frame left
}

func TestNoRecordIsMadeFromAFrame(t *testing.T) {
	uses := 0
	for _, r := range checkedPackages(t) {
		r.inspect(func(n ast.Node) bool {
			id, ok := n.(*ast.Ident)
			if !ok {
				return true
			}
			field, ok := r.TypesInfo.Uses[id].(*types.Var)
			if !ok || !field.IsField() || field.Name() != "Frame" || field.Pkg().Path() != module+"/transform" {
				return true
			}
			uses++
			if !frameUsers[r.name()] {
				t.Errorf("%s: %s must not use the frame of a message", r.at(n), r.name())
			}
			return true
		})
	}
	if uses < len(frameUsers) {
		t.Errorf("only %d uses: the test shows nothing", uses)
	}
}
