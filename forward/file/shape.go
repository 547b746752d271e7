package file

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/lestrrat-go/strftime"
)

// A shape is the set of paths that a sink's pattern can make: one element for each file or
// directory name, from the root on.
type shape []element

// An element is one name, or a set of names.
type element struct {
	literal string
	set     *regexp.Regexp // nil: literal
}

// newShape returns the shape of a pattern that newNaming accepts.
func newShape(pattern string) (shape, error) {
	var expr strings.Builder
	at := 0
	for _, m := range regexp.MustCompile(`%[-#]?.`).FindAllStringIndex(pattern, -1) {
		expr.WriteString(regexp.QuoteMeta(pattern[at:m[0]]))
		like, err := specification(pattern[m[0]:m[1]])
		if err != nil {
			return nil, err
		}
		expr.WriteString(like)
		at = m[1]
	}
	expr.WriteString(regexp.QuoteMeta(pattern[at:]))
	var s shape
	for part := range strings.SplitSeq(strings.TrimPrefix(expr.String(), "/"), "/") {
		e, err := newElement(part)
		if err != nil {
			return nil, err
		}
		s = append(s, e)
	}
	return s, nil
}

func newElement(expr string) (element, error) {
	re, err := regexp.Compile(expr)
	if err != nil {
		return element{}, err
	}
	if literal, whole := re.LiteralPrefix(); whole {
		return element{literal: literal}, nil
	}
	re, err = regexp.Compile(`\A(?:` + expr + `)\z`)
	return element{set: re}, err
}

// specification returns a regular expression for the texts that one % specification can
// make. It derives it from the text for a time whose numbers have all their digits: other
// numbers are padded with zeros or spaces, or by %- not at all.
func specification(spec string) (string, error) {
	example, err := strftime.Format(spec, time.Date(2022, 12, 22, 22, 22, 22, 0, time.UTC))
	if err != nil {
		return "", err
	}
	digits := `[0-9 ]{%d}`
	if len(spec) > 2 {
		digits = `[0-9 ]{0,%d}`
	}
	return regexp.MustCompile(`[0-9]+|[A-Za-z]+|[^0-9A-Za-z]+`).ReplaceAllStringFunc(example, func(run string) string {
		switch c := run[0]; {
		case '0' <= c && c <= '9':
			return fmt.Sprintf(digits, len(run))
		case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z':
			return `[A-Za-z]+`
		}
		return regexp.QuoteMeta(run)
	}), nil
}

// has reports whether name is that name, or in that set.
func (e *element) has(name string) bool {
	if e.set == nil {
		return name == e.literal
	}
	return e.set.MatchString(name)
}

// hasNumbered reports whether name is of e, with or without a number.
func (e *element) hasNumbered(name string) bool {
	base, ok := unnumbered(name)
	return e.has(name) || ok && e.has(base)
}

// permanent returns the final name, without its number, that a temporary name is made from;
// false if e does not have that name.
func (e *element) permanent(temp string) (string, bool) {
	base, ok := unhidden(temp, partSuffix)
	if !ok {
		return "", false
	}
	if e.has(base) {
		return base, true
	}
	base, ok = unnumbered(base)
	return base, ok && e.has(base)
}
