package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/spf13/pflag"

	"github.com/dnstap-pdns/dnstap-pdns/conf"
)

// A usage is what the help of a command contains in addition to its options.
type usage struct {
	name      string
	arguments string // in the usage line, after the options
	does      string // one sentence
	details   string // about the arguments; may be empty
	examples  []string
	exits     []string // meanings of the exit codes, from 0 on
}

// options are the options and arguments of a command.
type options struct {
	*pflag.FlagSet
	usage usage
	out   io.Writer // for the help
}

// newOptions returns the options of a command, in which the caller defines each option.
func newOptions(u usage, std stdio) *options {
	fs := pflag.NewFlagSet(u.name, pflag.ContinueOnError)
	fs.SortFlags = false
	fs.Usage = func() {} // parse prints the help
	return &options{fs, u, std.out}
}

// config defines the option of the configuration file.
func (o *options) config() *string {
	return o.StringP("config", "c", "", configUsage)
}

// flag defines an option without a value. pflag shows [=true|false] after options of type bool.
func (o *options) flag(name, usage string) *bool {
	given := new(bool)
	o.BoolFunc(name, usage, func(value string) error {
		on, err := strconv.ParseBool(value)
		if err != nil {
			return errors.New("must be true or false")
		}
		*given = on
		return nil
	})
	return given
}

// parse parses options, which may be given anywhere before "--", and at most this number of
// arguments. After --help it prints the help and returns pflag.ErrHelp.
func (o *options) parse(args []string, most int) error {
	if err := o.checkDashes(args); err != nil {
		return &usageError{err}
	}
	err := o.Parse(args)
	if errors.Is(err, pflag.ErrHelp) {
		io.WriteString(o.out, o.help())
		return err
	}
	if err != nil {
		return &usageError{o.explain(err)}
	}
	switch {
	case o.NArg() <= most:
		return nil
	case most == 0:
		return &usageError{fmt.Errorf("takes no argument, but got %q", o.Arg(0))}
	}
	return &usageError{fmt.Errorf("takes one %s, but also got %q", strings.Trim(o.usage.arguments, "[]"), o.Arg(most))}
}

// anyNumber lets parse accept any number of arguments.
const anyNumber = int(^uint(0) >> 1)

// checkDashes refuses long options with one dash, because -canary would be -c with the value
// "anary".
func (o *options) checkDashes(args []string) error {
	for _, arg := range args {
		name, single := strings.CutPrefix(arg, "-")
		switch name, _, _ = strings.Cut(name, "="); {
		case arg == "--":
			return nil
		case single && len(name) > 1 && o.Lookup(name) != nil:
			return fmt.Errorf("unknown option -%s: did you mean --%s?", name, name)
		}
	}
	return nil
}

// explain returns an error of pflag in the words of the help, with advice.
func (o *options) explain(err error) error {
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
		given := "--" + unknown.GetSpecifiedName()
		if letters := unknown.GetSpecifiedShortnames(); letters != "" {
			given = "-" + letters
		}
		var known []string
		o.VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
		if near := nearest(strings.TrimLeft(given, "-"), append(known, "help")); near != "" {
			return fmt.Errorf("unknown option %s: did you mean --%s?", conf.Escape(given), near)
		}
		return fmt.Errorf("unknown option %s: see dnstap-pdns %s --help", conf.Escape(given), o.usage.name)
	}
	if missing, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		value, _ := pflag.UnquoteUsage(missing.GetFlag())
		return fmt.Errorf("--%s needs a value: --%s %s", missing.GetFlag().Name, missing.GetFlag().Name, value)
	}
	if invalid, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		return fmt.Errorf("--%s %s: %s", invalid.GetFlag().Name, conf.Escape(invalid.GetValue()), conf.Escape(invalid.Unwrap().Error()))
	}
	if malformed, ok := errors.AsType[*pflag.InvalidSyntaxError](err); ok {
		return fmt.Errorf("%s is not an option: see dnstap-pdns %s --help", conf.Escape(malformed.GetSpecifiedFlag()), o.usage.name)
	}
	return errors.New(conf.Escape(err.Error()))
}

// nearest returns the known word that was probably meant, or nothing.
func nearest(given string, known []string) string {
	const mostEdits = 2
	best, least := "", mostEdits+1
	for _, word := range known {
		edits := levenshtein.Distance(given, word, nil)
		if len(given) > 1 && strings.HasPrefix(word, given) {
			edits = 1 // it was abbreviated
		}
		if edits < least && edits < len(given) {
			best, least = word, edits
		}
	}
	return best
}

// helpWidth is the number of columns of a help text.
const helpWidth = 120

// help returns the help text of the command.
func (o *options) help() string {
	var b strings.Builder
	o.BoolFuncP("help", "h", "print this help", nil)
	u := &o.usage
	fmt.Fprintf(&b, "Usage: %s\n\n%s\n", strings.TrimSpace("dnstap-pdns "+u.name+" [OPTION]... "+u.arguments), u.does)
	if u.details != "" {
		fmt.Fprintf(&b, "\n%s\n", u.details)
	}
	fmt.Fprintf(&b, "\nOptions:\n%s\nExamples:\n", o.FlagUsagesWrapped(helpWidth))
	for _, example := range u.examples {
		fmt.Fprintf(&b, "  %s\n", example)
	}
	b.WriteString("\nExit codes:\n")
	for code, meaning := range u.exits {
		fmt.Fprintf(&b, "  %d  %s\n", code, meaning)
	}
	return b.String()
}
