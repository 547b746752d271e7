package conf

import (
	"cmp"
	"net"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/dnstap-pdns/dnstap-pdns/conf/secret"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A secretForm is a value that a function returned, in one of the forms in which a message
// of another package may contain it.
type secretForm struct {
	pattern string // a regular expression with one group, which is replaced
	written string // the replacement
	length  int    // of the form: longer forms are searched for first
}

// secrets finds the values that functions returned.
type secrets struct {
	all     []secretForm
	pattern *regexp.Regexp // of all; nil if there are none
}

// Mask returns text with every value of a function replaced by the expression as it is
// written, for example: there is no user "env("OWNER")". It is for texts that this package
// does not write: errors of other packages, and reports that contain elements of lists.
func (f *File) Mask(text string) string {
	p := f.secrets.pattern
	if p == nil {
		return text
	}
	var b strings.Builder
	for {
		at := p.FindStringSubmatchIndex(text)
		if at == nil {
			b.WriteString(text)
			return b.String()
		}
		for i, s := range f.secrets.all {
			if from, to := at[2*i+2], at[2*i+3]; from >= 0 {
				b.WriteString(text[:from])
				b.WriteString(s.written)
				text = text[to:]
				break
			}
		}
	}
}

// addSecret makes Mask replace value, which is element i of a list, or the whole setting
// if i is negative. It does nothing if no function returned value, or if parsed, its
// parsed form, is a keyword or a number.
func (s *section) addSecret(set *setting, i int, value string, parsed any) {
	if !set.secret() || value == "" {
		return
	}
	expr := set.expr
	if tuple, ok := expr.(*hclsyntax.TupleConsExpr); ok && i >= 0 {
		if expr = tuple.Exprs[i]; !callsFunction(expr) {
			return
		}
	}
	at := expr.Range()
	written := strings.Join(strings.Fields(string(at.SliceBytes(s.file.sources[at.Filename]))), " ")
	for _, form := range formsOf(value, parsed) {
		s.file.secrets.add(form, written)
	}
}

// formsOf returns the spellings of value that a message may contain, or nil if parsed
// is a keyword or a number.
func formsOf(value string, parsed any) []string {
	forms := []string{value}
	switch p := parsed.(type) {
	case string:
		forms = append(forms, p, strings.Trim(strconv.Quote(p), `"`))
		if name, err := transform.ParseLocalName(p); err == nil {
			forms = append(forms, name)
		}
	case netip.Addr:
		forms = append(forms, p.String())
	case netip.Prefix:
		forms = append(forms, p.String(), p.Addr().String())
	case secret.Secret:
		// the value itself
	case listenAddress:
		forms = append(forms, p.address)
	case forward.Target:
		forms = append(forms, p.Address)
		if p.Scheme == forward.Kafka {
			brokers, topic := p.Topic()
			forms = append(append(forms, brokers...), topic)
		}
	default:
		return nil
	}
	for _, form := range slices.Clone(forms) {
		if strings.Contains(form, "://") {
			continue // a scheme is not a host
		}
		if host, _, err := net.SplitHostPort(form); err == nil && host != "" {
			forms = append(forms, host)
		}
	}
	return forms
}

// longestPath is PATH_MAX, the length of the longest path in a message.
const longestPath = 4096

// add adds a form of a secret and, if it is a path, the folders above it. written is
// the replacement.
func (s *secrets) add(form, written string) {
	form = string([]rune(form)) // invalid UTF-8 becomes U+FFFD, as in package regexp
	s.all = append(s.all, secretForm{"(" + bounded(form) + ")", written, len(form)})
	if !filepath.IsAbs(form) || len(form) > longestPath {
		return
	}
	for dir := filepath.Dir(form); dir != "/"; dir = filepath.Dir(dir) {
		written += "/.."
		s.all = append(s.all, secretForm{`(?:^|[\s"'(=:,;])(` + pathPattern(dir) + `)/?(?:[\s"'):,;]|$)`, written, len(dir)})
	}
}

// compile makes the pattern, after all secrets were added.
func (s *secrets) compile() {
	if len(s.all) == 0 {
		return
	}
	slices.SortStableFunc(s.all, func(a, b secretForm) int { return cmp.Compare(b.length, a.length) })
	var patterns []string
	for _, form := range s.all {
		patterns = append(patterns, form.pattern)
	}
	s.pattern = regexp.MustCompile("(?i)" + strings.Join(patterns, "|"))
}

// bounded returns a pattern that matches a form if no letter or digit is next to it.
func bounded(form string) string {
	pattern := pathPattern(form)
	if isAlphanumeric(rune(form[0])) {
		pattern = `\b` + pattern
	}
	if isAlphanumeric(rune(form[len(form)-1])) {
		pattern += `\b`
	}
	return pattern
}

var conversion = regexp.MustCompile(`%[%A-Za-z]`)

// pathPattern returns a pattern that matches a form as it is written and, if it is a
// strftime pattern, the names of its files, finished or partial.
func pathPattern(form string) string {
	dir, base := filepath.Split(regexp.QuoteMeta(form))
	if dir != "" {
		dir += `\.?`
	}
	return conversion.ReplaceAllString(dir+base, `[^/\s"']*?`)
}
