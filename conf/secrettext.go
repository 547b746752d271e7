package conf

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/dnstap-pdns/dnstap-pdns/conf/secret"
)

// readSecret returns a secret, which the value of the attribute must name by one call of a
// function. The sensor reads the file of file() and credential() again when it uses the secret.
func (s *section) readSecret(name string) secret.Secret {
	set := s.settings[name]
	if set.value == cty.NilVal {
		return secret.Secret{}
	}
	call, ok := set.expr.(*hclsyntax.FunctionCallExpr)
	if !ok {
		s.fail(set.at, name+": a secret must not be in the configuration, which check prints and others may read",
			"Put it into a file, and write "+name+" = file(\"PATH\"), or use credential(\"NAME\") or env(\"NAME\").")
		return secret.Secret{}
	}
	return readText(s, name, func(v string) (secret.Secret, error) {
		if v == "" || strings.ContainsFunc(v, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsGraphic(r) }) {
			return secret.Secret{}, errors.New("empty, or not printable") // refuse does not show it
		}
		return s.secretFrom(call, v), nil
	})
}

// secretFrom returns the secret that a call returns, now with this text.
func (s *section) secretFrom(call *hclsyntax.FunctionCallExpr, text string) secret.Secret {
	argument, _ := call.Args[0].Value(s.eval)
	argument, _ = argument.Unmark()
	switch call.Name {
	case "file":
		return secret.InFile(inFolder(s.dir, argument.AsString()))
	case "credential":
		return secret.InFile(filepath.Join(os.Getenv("CREDENTIALS_DIRECTORY"), argument.AsString()))
	default:
		return secret.Text(text)
	}
}

// secretTexts match text of a configuration, in their groups, that must not be shown although no
// function gives it: what is written as a key or password, PEM text, and the user, password and query of a URL.
var secretTexts = []*regexp.Regexp{
	regexp.MustCompile(`\b(?:api_key|password)\s*=\s*([^\n]*)`),
	regexp.MustCompile(`-----BEGIN\s([^\n]*)`),
	regexp.MustCompile(`://([^\s"]*)@`),
	regexp.MustCompile(`://[^\s"]*\?([^\s"]*)`),
}

// secretCall matches a call of a function that is not the condition of an expression.
var secretCall = regexp.MustCompile(`^(file|env|credential)\s*\([^?]*$`)

// withoutSecretText returns a copy of a configuration in which asterisks replace secret text.
// It works on the text, because messages also show lines that could not be parsed.
func withoutSecretText(src []byte) []byte {
	shown := slices.Clone(src)
	for _, pattern := range secretTexts {
		for _, at := range pattern.FindAllSubmatchIndex(src, -1) {
			if text := shown[at[2]:at[3]]; !secretCall.Match(text) {
				copy(text, bytes.Repeat([]byte("*"), len(text)))
			}
		}
	}
	return shown
}
