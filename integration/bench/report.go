package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dnstap-pdns/dnstap-pdns/integration/plot"
)

// A report is the section that one part writes: Markdown, which is printed and, with -write, replaces
// the section of that part in a page.
type report struct {
	bytes.Buffer
	part string
	page string // empty: only print
}

// printf adds a line or a paragraph.
func (r *report) printf(format string, args ...any) { fmt.Fprintf(&r.Buffer, format+"\n", args...) }

// table adds a table. The first row is its heading.
func (r *report) table(rows ...[]string) {
	for i, row := range rows {
		r.printf("| %s |", strings.Join(row, " | "))
		if i == 0 {
			r.printf("|%s", strings.Repeat("---|", len(row)))
		}
	}
	r.printf("")
}

// plot adds a picture, which is a file next to the page.
func (r *report) plot(title string, panels ...plot.Panel) error {
	name := "performance-" + r.part + ".svg"
	r.printf("![%s](%s)\n", title, name)
	if r.page == "" {
		return nil
	}
	return os.WriteFile(filepath.Join(filepath.Dir(r.page), name), plot.SVG(title, panels...), 0o644)
}

// finish prints the section and replaces that of the page. The page has each section between two
// comments with the name of its part.
func (r *report) finish() error {
	text := fmt.Sprintf("%s\n\n%s", machine(), strings.TrimSpace(r.String()))
	fmt.Printf("\n## %s\n\n%s\n", r.part, text)
	if r.page == "" {
		return nil
	}
	page, err := os.ReadFile(r.page)
	if err != nil {
		return err
	}
	begin, end := "<!-- bench "+r.part+" -->\n", "<!-- /bench "+r.part+" -->"
	before, rest, found := strings.Cut(string(page), begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		return fmt.Errorf("%s has no section of the part %s", r.page, r.part)
	}
	return os.WriteFile(r.page, []byte(before+begin+text+"\n"+end+after), 0o644)
}

var modelName = regexp.MustCompile(`model name\s*: (.*)`)

// machine states when and on what machine a part was measured.
func machine() string {
	model := "unknown processor"
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if m := modelName.FindSubmatch(info); m != nil {
			model = string(m[1])
		}
	}
	var u unix.Utsname
	unix.Uname(&u) // cannot fail
	return fmt.Sprintf("Measured on %s: %s, %d cores, Linux %s, %s.", time.Now().UTC().Format(time.DateOnly),
		model, runtime.NumCPU(), unix.ByteSliceToString(u.Release[:]), runtime.Version())
}
