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

// A report is the section of one part: Markdown, which is printed and, with -write, replaces the
// section of that part in a page.
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

// finish prints the section and replaces the section of the page.
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
	replaced, err := replaceSection(string(page), r.part, text)
	if err != nil {
		return fmt.Errorf("%s: %w", r.page, err)
	}
	return os.WriteFile(r.page, []byte(replaced), 0o644)
}

// checkSections returns an error if a page has no section for one of the parts.
func checkSections(page string, parts []part) error {
	if page == "" {
		return nil
	}
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	for _, p := range parts {
		if _, err := replaceSection(string(text), p.name, ""); err != nil {
			return fmt.Errorf("%s: %w", page, err)
		}
	}
	return nil
}

// replaceSection replaces the text between the two comments of a page that begin and end the section of
// a part.
func replaceSection(page, part, text string) (string, error) {
	begin, end := "<!-- bench "+part+" -->\n", "<!-- /bench "+part+" -->"
	before, rest, found := strings.Cut(page, begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		return "", fmt.Errorf("no section of the part %s: add the lines %q and %q", part, strings.TrimSpace(begin), end)
	}
	return before + begin + text + "\n" + end + after, nil
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
