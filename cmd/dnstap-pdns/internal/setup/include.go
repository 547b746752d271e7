package setup

import (
	"fmt"
	"strings"

	"github.com/dnstap-pdns/dnstap-pdns/collector"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
)

// An Edit adds one line to an existing file.
type Edit struct {
	Line   string
	Shell  string // a command that does the same with the file as Debian packages it
	insert func(text, line string) (string, error)
}

// apply returns text with the line, which it may contain already.
func (e *Edit) apply(text string) (string, error) {
	for have := range strings.Lines(text) {
		if strings.TrimSpace(have) == e.Line {
			return text, nil
		}
	}
	return e.insert(text, e.Line)
}

const (
	bindOptions = "/etc/bind/named.conf.options"
	luaConfig   = "/etc/powerdns/recursor.lua"
)

// includeInOptions includes a file in BIND's options.
func includeInOptions(path string) File {
	line := fmt.Sprintf("include %q;", path)
	return File{Path: bindOptions, For: Resolver, Edit: &Edit{
		Line:   line,
		Shell:  fmt.Sprintf("grep -qF '%[1]s' %[2]s || sed -i 's|^options {|&\\n\\t%[1]s|' %[2]s", line, bindOptions),
		insert: insertInOptions,
	}}
}

// insertInOptions inserts a line at the beginning of the options statement.
func insertInOptions(text, line string) (string, error) {
	depth, previous := 0, ""
	for _, token := range bindTokens(text) {
		switch token.text {
		case "{":
			if depth == 0 && previous == "options" {
				return text[:token.end] + "\n\t" + line + text[token.end:], nil
			}
			depth++
		case "}":
			depth--
		}
		previous = token.text
	}
	return "", fmt.Errorf("it has no options statement: add %s to the options of BIND yourself", line)
}

// dofile runs a file in PowerDNS Recursor's Lua configuration.
func dofile(path string) File {
	line := fmt.Sprintf("dofile(%q)", path)
	return File{Path: luaConfig, For: Resolver, Edit: &Edit{
		Line:   line,
		Shell:  fmt.Sprintf("grep -qxF '%[1]s' %[2]s || echo '%[1]s' >>%[2]s", line, luaConfig),
		insert: appendLine,
	}}
}

func appendLine(text, line string) (string, error) {
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return text + line + "\n", nil
}

// source returns the source of the configuration at the socket to which the resolver sends.
func (r Request) source() (found collector.Config, ok bool, err error) {
	text, err := r.Setup.Source(r.Site)
	if err != nil {
		return found, false, err
	}
	want, diags := conf.Parse(r.Setup.Name, []byte(text))
	if diags.HasErrors() {
		return found, false, diags
	}
	for _, s := range r.Config.Sources {
		if s.Network == want.Sources[0].Network && s.Address == want.Sources[0].Address {
			return s, true, nil
		}
	}
	return found, false, nil
}
