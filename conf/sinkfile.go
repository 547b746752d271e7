package conf

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/lestrrat-go/strftime"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/file"
)

// files reads the attributes of files, and checks the target that it shares with standard
// output.
func (s *section) files(to target) (c file.Config) {
	if s.appliesTo(to, "it applies only to file:// targets", []forward.Scheme{forward.File}, "rotate", "rotate_size", "on_rotate", "keep") {
		c.Rotate = s.readDurationOrZero("rotate")
		c.RotateSize = s.readSize("rotate_size")
		c.OnRotate = s.command("on_rotate")
		c.Keep = s.keep()
	}
	if to.known {
		s.checkTarget(to.Target, c.Rotate)
	}
	return c
}

// checkTarget reports a target whose output would be mixed with that of another sink,
// or would overwrite files.
func (s *section) checkTarget(t forward.Target, rotate time.Duration) {
	set := s.settings["to"]
	switch t.Scheme {
	case forward.File:
		s.unique("sink target", t.Address, set.at,
			"to: another sink writes files of that name", "give each its own directory or name")
		if rotate > 0 && sameName(t.Address, rotate) {
			s.refuse(set, set.at, fmt.Sprintf("each file would overwrite the one before, because the name does not change every %s; "+
				`add what is missing of %%Y%%m%%dT%%H%%M%%S, or set rotate = "0s"`, formatDuration(int64(rotate))))
		}
	case forward.Stdout:
		s.unique("sink target", "stdout", set.at,
			"to: another sink writes to standard output", "let one of them write to a file")
	}
}

// sameName reports whether two successive intervals have the same file name. It uses
// the epoch, at which every unit of time begins, to find a missing unit.
func sameName(pattern string, rotate time.Duration) bool {
	epoch := time.Unix(0, 0).UTC()
	a, _ := strftime.Format(pattern, epoch)
	b, _ := strftime.Format(pattern, epoch.Add(rotate))
	return a == b
}

// checkPattern returns an error if a path is not a strftime pattern.
func checkPattern(path string) error {
	if _, err := strftime.New(path); err != nil {
		return fmt.Errorf("the file name is not a strftime pattern (write a percent sign as %%%%): %w", err)
	}
	return nil
}

// keep reads the block keep, which may be absent.
func (s *section) keep() (k file.Keep) {
	in := s.innerBlock("keep")
	if in == nil {
		return k
	}
	k = file.Keep{Age: in.readDurationOrZero("age"), Size: in.readSize("size")}
	if !in.isWritten("age") && !in.isWritten("size") {
		s.fail(in.header, "keep: it has no limit", "Set age, size or both.")
	}
	return k
}

// command reads a program and its arguments, or nil.
func (s *section) command(name string) []string {
	argv := readList(s, name, parseArgument)
	if len(argv) > 0 {
		if problem := checkProgram(argv[0]); problem != "" {
			set := s.settings[name]
			s.refuse(set, set.element(0), problem)
		}
	}
	return argv
}

func parseArgument(v string) (string, error) {
	if strings.Contains(v, "\x00") {
		return "", errors.New("an argument cannot contain a zero byte")
	}
	return v, nil
}

// checkProgram returns why v cannot be the name of a program, or "". It does not check
// that the program exists.
func checkProgram(v string) (problem string) {
	switch {
	case v == "":
		return "the program's name is empty"
	case strings.Contains(v, "/") && !filepath.IsAbs(v):
		return "a path to a program must be absolute"
	case strings.Contains(v, " ") && !filepath.IsAbs(v):
		return "no shell splits this: write each argument as an element of its own"
	}
	return ""
}
