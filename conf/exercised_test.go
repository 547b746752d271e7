package conf

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// notInConfigurations are the texts that no configuration can bring about, with
// what holds them to what they say.
var notInConfigurations = map[string]string{
	"the configuration cannot be read: ":                                        "TestMissingFileIsAnError",
	"Name another file with -c, or see that this one is there and may be read.": "TestMissingFileIsAnError",
	"sink target": "not shown: a kind of place",
	" :/":         "not shown: characters",
}

// TestEveryDiagnosticIsGivenBySomeInvalidConfiguration looks for each text in the
// source of what reads configurations in the messages beside the invalid ones.
func TestEveryDiagnosticIsGivenBySomeInvalidConfiguration(t *testing.T) {
	var given strings.Builder
	for _, path := range configurations(t, "invalid") {
		text, err := os.ReadFile(strings.TrimSuffix(path, ".hcl") + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		given.Write(text)
	}
	all := given.String()
	found := 0
	for _, text := range sourceTexts(t, "config.go", "default.go", "schema.go", "effective.go", "diagnostics.go", "setup.go", "warnings.go") {
		if notInConfigurations[text] != "" {
			continue
		}
		found++
		if !asPattern(text).MatchString(all) {
			t.Errorf("testdata/invalid has no configuration that gives %q", text)
		}
	}
	if found < 50 {
		t.Errorf("only %d texts in the source: the test shows nothing", found)
	}
}

// sourceTexts returns the string literals with a space in them, outside of the
// named files and of tests.
func sourceTexts(t *testing.T, except ...string) []string {
	t.Helper()
	paths, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	skip := map[string]bool{}
	for _, name := range except {
		skip[name] = true
	}
	var texts []string
	for _, path := range paths {
		if skip[path] || strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if text, _ := strconv.Unquote(lit.Value); strings.Contains(text, " ") && strings.TrimSpace(text) != "" {
					texts = append(texts, text)
				}
			}
			return true
		})
	}
	return texts
}

var verb = regexp.MustCompile(`%[sdqvwT]`)

// asPattern matches what a format makes.
func asPattern(format string) *regexp.Regexp {
	var parts []string
	for _, part := range verb.Split(format, -1) {
		parts = append(parts, regexp.QuoteMeta(strings.ReplaceAll(part, "%%", "%")))
	}
	return regexp.MustCompile(strings.Join(parts, ".*"))
}
