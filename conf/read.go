package conf

import (
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// convertTo returns v in the type of its kind, or a problem. It accepts a string for
// a number or flag, because functions return strings, but no number for a string:
// 0660 would become "660".
func convertTo(v cty.Value, k kind) (_ cty.Value, problem string) {
	if v.IsNull() {
		return cty.NilVal, "null is not a value; remove the attribute"
	}
	switch k {
	case flagValue:
		return converted(v, cty.Bool, "not true or false")
	case numberValue:
		return converted(v, cty.Number, "not a number")
	case sizeValue:
		if v.Type() == cty.Number || v.Type() == cty.String {
			return v, ""
		}
		return cty.NilVal, "not a size"
	case listValue:
		return stringList(v)
	case numbersValue:
		return numberList(v)
	default:
		if v.Type() != cty.String {
			return cty.NilVal, "must be a string, in quotes"
		}
		return v, ""
	}
}

func converted(v cty.Value, t cty.Type, problem string) (cty.Value, string) {
	c, err := convert.Convert(v, t)
	if err != nil {
		return cty.NilVal, problem
	}
	return c, ""
}

func stringList(v cty.Value) (cty.Value, string) {
	if t := v.Type(); !t.IsTupleType() && !t.IsListType() && !t.IsSetType() {
		return cty.NilVal, `must be a list, in brackets: ["...", "..."]`
	}
	for _, e := range v.AsValueSlice() {
		if e.IsNull() || e.Type() != cty.String {
			return cty.NilVal, "every element must be a string, in quotes"
		}
	}
	return v, ""
}

func numberList(v cty.Value) (cty.Value, string) {
	if t := v.Type(); !t.IsTupleType() && !t.IsListType() && !t.IsSetType() {
		return cty.NilVal, "must be a list, in brackets: [..., ...]"
	}
	var all []cty.Value
	for _, e := range v.AsValueSlice() {
		n, problem := converted(e, cty.Number, "every element must be a number")
		if problem != "" || n.IsNull() {
			return cty.NilVal, "every element must be a number"
		}
		all = append(all, n)
	}
	return cty.TupleVal(all), ""
}

// readText returns the parsed value of an attribute. If parse fails, it adds a
// diagnostic and returns T's zero value.
func readText[T any](s *section, name string, parse func(string) (T, error)) T {
	var zero T
	set := s.settings[name]
	if set.value == cty.NilVal {
		return zero
	}
	v, err := parse(set.value.AsString())
	if err != nil {
		s.refuse(set, set.at, err.Error())
		return zero
	}
	s.addSecret(set, -1, set.value.AsString(), v)
	return v
}

// readList returns the parsed elements of a list, or nil if it is empty. It adds a
// diagnostic for each element that parse refuses, and leaves it out.
func readList[T any](s *section, name string, parse func(string) (T, error)) []T {
	set := s.settings[name]
	if set.value == cty.NilVal {
		return nil
	}
	var all []T
	for i, e := range set.value.AsValueSlice() {
		v, err := parse(e.AsString())
		if err != nil {
			s.refuse(set, set.element(i), err.Error())
			continue
		}
		s.addSecret(set, i, e.AsString(), v)
		all = append(all, v)
	}
	return all
}

// readListOr is readList, but returns otherwise() if the attribute is absent.
func readListOr[T any](s *section, name string, parse func(string) (T, error), otherwise func() []T) []T {
	if !s.isWritten(name) {
		return otherwise()
	}
	return readList(s, name, parse)
}

// element returns the range of an element of a list, or of the list if it is computed.
func (s *setting) element(i int) hcl.Range {
	if tuple, ok := s.expr.(*hclsyntax.TupleConsExpr); ok && i < len(tuple.Exprs) {
		return tuple.Exprs[i].Range()
	}
	return s.at
}

func (s *section) readFlag(name string) bool {
	set := s.settings[name]
	return set.value != cty.NilVal && set.value.True()
}

func (s *section) readNumber(name string) int64 {
	set := s.settings[name]
	if set.value == cty.NilVal {
		return 0
	}
	n, exact := set.value.AsBigFloat().Int64()
	if exact != 0 || n < set.lo || n > set.hi {
		s.refuse(set, set.at, errOutOfRange.Error())
		return 0
	}
	return n
}

var errOutOfRange = errors.New("out of range, or not whole")

// readNumbers returns the elements of a list of numbers. It adds a diagnostic for each element
// that is out of range or that check refuses, and leaves it out.
func (s *section) readNumbers(name string, check func(int64) error) []int64 {
	set := s.settings[name]
	if set.value == cty.NilVal {
		return nil
	}
	var all []int64
	for i, e := range set.value.AsValueSlice() {
		n, exact := e.AsBigFloat().Int64()
		err := errOutOfRange
		if exact == 0 && n >= set.lo && n <= set.hi {
			err = check(n)
		}
		if err != nil {
			s.refuse(set, set.element(i), err.Error())
			continue
		}
		all = append(all, n)
	}
	return all
}

// readSize reads a size, which is a number of bytes or a string with a unit.
func (s *section) readSize(name string) int64 {
	set := s.settings[name]
	if set.value == cty.NilVal {
		return 0
	}
	if set.value.Type() == cty.Number {
		return s.readNumber(name)
	}
	return readText(s, name, func(v string) (int64, error) {
		n, err := parseSize(v)
		if err == nil && (n < set.lo || n > set.hi) {
			err = fmt.Errorf("out of range")
		}
		return n, err
	})
}

func (s *section) readDuration(name string) time.Duration {
	set := s.settings[name]
	return readText(s, name, func(v string) (time.Duration, error) {
		d, err := parseDuration(v)
		if err == nil && (int64(d) < set.lo || int64(d) > set.hi) {
			err = fmt.Errorf("out of range")
		}
		return d, err
	})
}

// readDurationOrZero reads a duration; zero means no limit.
func (s *section) readDurationOrZero(name string) time.Duration {
	set := s.settings[name]
	return readText(s, name, func(v string) (time.Duration, error) {
		d, err := parseDuration(v)
		if err == nil && d != 0 && (int64(d) < set.lo || int64(d) > set.hi) {
			err = errors.New("out of range")
		}
		return d, err
	})
}

// setDefault sets an absent attribute to n, so that Effective prints it, and returns n.
func (s *section) setDefault(name string, n int) int64 {
	s.settings[name].value = cty.NumberIntVal(int64(n))
	return int64(n)
}
