package conf

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// notInConfigurations are the texts that no invalid configuration causes, each with the
// test that checks it, or the reason why no test does.
var notInConfigurations = map[string]string{
	"the configuration cannot be read: ":                                                    "TestMissingFileIsAnError",
	"Name another file with -c, or make this one readable.":                                 "TestMissingFileIsAnError",
	"this process has no credentials: only the service has, by LoadCredential= in its unit": "TestCredentialThatIsMissing",

	"empty, or not printable":             "not shown: a function gives every secret",
	"sink target":                         "not shown: a kind of uniqueKey",
	" :/":                                 "not shown: characters",
	"%d more syntax errors are not shown": "TestAFileThatIsNotTextGivesFewErrors",
	"If the file is a configuration, fix the first errors; they may cause the others. Otherwise name another file with -c.": "TestAFileThatIsNotTextGivesFewErrors",
}

// TestEveryDiagnosticHasAnInvalidConfiguration searches the golden messages of the
// invalid configurations, and of those with warnings, for each text in the source.
func TestEveryDiagnosticHasAnInvalidConfiguration(t *testing.T) {
	var messages strings.Builder
	for _, path := range slices.Concat(configurations(t, "invalid"), configurations(t, "warnings")) {
		text, err := os.ReadFile(strings.TrimSuffix(path, ".hcl") + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		messages.Write(text)
	}
	all := messages.String()
	found := 0
	for _, text := range sourceTexts(t, "config.go", "default.go", "schema.go", "schemaparts.go", "effective.go", "diagnostics.go", "setup.go") {
		if notInConfigurations[text] != "" {
			continue
		}
		found++
		if !asPattern(text).MatchString(all) {
			t.Errorf("testdata/invalid has no configuration that gives %q", text)
		}
	}
	if found < 50 {
		t.Errorf("only %d texts found in the source", found)
	}
}

// sourceTexts returns the string literals that contain a space, except those in tests
// and in the named files.
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

// asPattern returns a pattern that matches the output of a format.
func asPattern(format string) *regexp.Regexp {
	var parts []string
	for _, part := range verb.Split(format, -1) {
		parts = append(parts, regexp.QuoteMeta(strings.ReplaceAll(part, "%%", "%")))
	}
	return regexp.MustCompile(strings.Join(parts, ".*"))
}
