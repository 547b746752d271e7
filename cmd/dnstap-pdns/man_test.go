package main

import (
	"bytes"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gotest.tools/v3/golden"
)

// TestManPages compares the manual pages in docs/man, which the packages contain, with the help
// of the commands and with the reference of the configuration.
func TestManPages(t *testing.T) {
	pages := map[string]string{
		"dnstap-pdns.1":     overview(),
		"dnstap-pdns.hcl.5": configurationPage(t),
	}
	for _, c := range commands {
		pages["dnstap-pdns-"+c.usage.name+".1"] = commandPage(t, c.usage)
	}
	for name, page := range pages {
		golden.Assert(t, page, "../"+root+"docs/man/"+name)
	}
	installed, err := filepath.Glob(root + "docs/man/*")
	if err != nil || len(installed) != len(pages) {
		t.Errorf("docs/man has %d files, want %d: %v", len(installed), len(pages), err)
	}
}

// A manPage is text for the macros man of roff.
type manPage struct{ strings.Builder }

func newManPage(name string, section int, does string) *manPage {
	p := &manPage{}
	fmt.Fprintf(p, ".\\\" Made from the source of dnstap-pdns by go test.\n.TH %s %d \"\" dnstap-pdns \"dnstap-pdns\"\n", strings.ToUpper(roff(name)), section)
	p.section("NAME")
	fmt.Fprintf(p, "%s \\- %s\n", roff(name), roff(strings.TrimSuffix(does, ".")))
	return p
}

func (p *manPage) section(title string) { fmt.Fprintf(p, ".SH %s\n", title) }

// text writes paragraphs after the title of a section.
func (p *manPage) text(paragraphs ...string) {
	for i, text := range paragraphs {
		if i > 0 {
			p.WriteString(".PP\n")
		}
		fmt.Fprintln(p, roff(strings.ReplaceAll(text, "\n", " ")))
	}
}

// item writes a term and its description.
func (p *manPage) item(term, description string) {
	fmt.Fprintf(p, ".TP\n.B %s\n%s\n", roff(term), roff(description))
}

// lines writes lines as they are.
func (p *manPage) lines(lines ...string) {
	p.WriteString(".nf\n")
	for _, l := range lines {
		p.WriteString(roff(l) + "\n")
	}
	p.WriteString(".fi\n")
}

// seeAlso writes references to other pages.
func (p *manPage) seeAlso(pages ...string) {
	p.section("SEE ALSO")
	for i, name := range pages {
		comma := ","
		if i == len(pages)-1 {
			comma = ""
		}
		page, section, _ := strings.Cut(name, "(")
		fmt.Fprintf(p, ".BR %s (%s%s\n", roff(page), section, comma)
	}
}

// roff escapes a text that must not contain requests.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`, `"`, `\(dq`).Replace(text)
	if strings.HasPrefix(text, ".") {
		text = `\&` + text
	}
	return text
}

func overview() string {
	sentence, _, _ := strings.Cut(about, "\n")
	_, does, _ := strings.Cut(sentence, ": ")
	p := newManPage("dnstap-pdns", 1, "passive DNS sensor: "+does)
	p.section("SYNOPSIS")
	p.lines("dnstap-pdns COMMAND [OPTION]... [ARGUMENT]...")
	p.section("COMMANDS")
	for _, c := range commands {
		p.item(c.usage.name, c.usage.does)
	}
	p.item("help", "Prints a list of the commands, or the help of a command.")
	p.section("FILES")
	p.item(defaultConfig, "The configuration, if no other is named. Without this file the built-in configuration is used.")
	p.item("/var/lib/dnstap-pdns", "The files of the service.")
	p.item("/usr/share/doc/dnstap-pdns", "The documentation of the package, with examples.")
	var pages []string
	for _, c := range commands {
		pages = append(pages, "dnstap-pdns-"+c.usage.name+"(1)")
	}
	p.seeAlso(append(pages, "dnstap-pdns.hcl(5)")...)
	return p.String()
}

var helpOption = regexp.MustCompile(`^ {2,6}(-\w, )?(--[\w-]+)( \S+)? {3,}(\S.*)$`)

// commandPage returns the page of a command. It reads the options from the command's help.
func commandPage(t *testing.T, u usage) string {
	t.Helper()
	var out, errs bytes.Buffer
	if code := realMain([]string{"help", u.name}, stdio{out: &out, err: &errs}); code != exitDone {
		t.Fatalf("%s: exit %d: %s", u.name, code, &errs)
	}
	_, rest, _ := strings.Cut(out.String(), "\nOptions:\n")
	options, _, ok := strings.Cut(rest, "\n\nExamples:\n")
	if !ok {
		t.Fatalf("the help of %s has no options", u.name)
	}
	p := newManPage("dnstap-pdns-"+u.name, 1, u.does)
	p.section("SYNOPSIS")
	p.lines(strings.TrimSpace("dnstap-pdns " + u.name + " [OPTION]... " + u.arguments))
	p.section("DESCRIPTION")
	p.text(slices.DeleteFunc([]string{u.does, u.details}, func(text string) bool { return text == "" })...)
	p.section("OPTIONS")
	var term, description string
	for line := range strings.Lines(options) {
		line = strings.TrimSuffix(line, "\n")
		o := helpOption.FindStringSubmatch(line)
		if o == nil {
			description += " " + strings.TrimSpace(line)
			continue
		}
		if term != "" {
			p.item(term, description)
		}
		term, description = o[1]+o[2]+o[3], o[4]
	}
	p.item(term, description)
	p.section("EXIT STATUS")
	for code, meaning := range u.exits {
		p.item(fmt.Sprint(code), meaning)
	}
	p.section("EXAMPLES")
	p.lines(u.examples...)
	p.seeAlso("dnstap-pdns(1)", "dnstap-pdns.hcl(5)")
	return p.String()
}

// configurationPage returns the page of the configuration, from the reference that the tests of
// package conf make from its schema.
func configurationPage(t *testing.T) string {
	t.Helper()
	p := newManPage("dnstap-pdns.hcl", 5, "configuration of dnstap-pdns")
	p.section("DESCRIPTION")
	p.text("The configuration is HCL: blocks with attributes. Unknown blocks and attributes are errors. NAME is a name of your choice; "+
		"blocks with a name may occur several times. dnstap-pdns check prints the effective configuration with all defaults.",
		`env("NAME"), file("PATH") and credential("NAME") give a value: a variable of the environment, the content of a file, or a credential of the `+
			"service. Their values are never printed.",
		`Durations have a unit ("500ms", "60s", "1h"), and so have sizes ("256KiB", "16MiB").`)
	p.section("BLOCKS")
	block := ""
	rows := strings.Split(strings.TrimSpace(read(t, root+"conf/testdata/reference.md")), "\n")[2:]
	for _, row := range rows {
		cells := strings.Split(strings.Trim(row, "|"), " | ")
		if len(cells) != 5 {
			t.Fatalf("a row of the reference has %d cells: %s", len(cells), row)
		}
		for i, c := range cells {
			cells[i] = strings.Trim(c, " `")
		}
		if cells[0] != block {
			block = cells[0]
			fmt.Fprintf(p, ".SS %s\n", roff(block))
		}
		p.item(cells[1], cells[4]+". Takes "+cells[3]+". Default: "+cells[2]+".")
	}
	p.section("FILES")
	p.item(defaultConfig, "read by the service, and by commands without -c")
	p.item("/usr/share/doc/dnstap-pdns/examples/dnstap-pdns.hcl", "contains every default")
	p.seeAlso("dnstap-pdns(1)", "dnstap-pdns-check(1)", "dnstap-pdns-init(1)")
	return p.String()
}
