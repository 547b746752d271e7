package setup

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A stage is a folder with files, and an Applier that records commands.
type stage struct {
	Applier
	dir string
	out strings.Builder
	ran []string
}

// newStage returns a stage. The command "fail" fails.
func newStage(t *testing.T) *stage {
	s := &stage{dir: t.TempDir()}
	s.Applier = Applier{Out: &s.out, Now: time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC), Run: func(_ context.Context, args []string) error {
		s.ran = append(s.ran, strings.Join(args, " "))
		if args[0] == "fail" {
			return errors.New("exit status 1")
		}
		return nil
	}}
	return s
}

func (s *stage) path(name string) string { return filepath.Join(s.dir, name) }

func (s *stage) put(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(s.path(name), []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// content returns all files below the folder as "NAME: TEXT".
func (s *stage) content(t *testing.T) (all []string) {
	t.Helper()
	err := filepath.WalkDir(s.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(s.dir, path)
		all = append(all, name+": "+string(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func (s *stage) plan(check string) Plan {
	return Plan{
		{Files: []File{{Path: s.path("new/sensor.hcl"), For: Sensor, Text: "sensor\n"}}, Check: []string{"check"}},
		{Files: []File{
			{Path: s.path("resolver.conf"), For: Resolver, Text: "new\n"},
			{Path: s.path("options"), For: Resolver, Edit: &Edit{Line: "more", insert: appendLine}},
		}, Check: []string{check}},
		{Commands: []Command{
			{Args: []string{"reload"}},
			{Args: []string{"stop", "sensor"}, If: true, For: Sensor},
			{Args: []string{"restart", "resolver"}, If: true, For: Resolver, Else: []string{"start", "resolver"}},
		}},
	}
}

func TestApplyWritesChecksAndRestarts(t *testing.T) {
	s := newStage(t)
	s.put(t, "resolver.conf", "old\n", 0o600)
	s.put(t, "real", "first", 0o644)
	if err := os.Symlink("real", s.path("options")); err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(t.Context(), s.plan("checkconf")); err != nil {
		t.Fatal(err)
	}
	want := []string{"new/sensor.hcl: sensor\n", "options: first\nmore\n", "real: first\nmore\n", "real.20261123T140000: first",
		"resolver.conf: new\n", "resolver.conf.20261123T140000: old\n"}
	if got := s.content(t); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if want := []string{"check", "checkconf", "reload", "stop sensor", "restart resolver"}; !slices.Equal(s.ran, want) {
		t.Errorf("ran %q, want %q", s.ran, want)
	}
	if info, err := os.Stat(s.path("resolver.conf")); err != nil || info.Mode() != 0o600 {
		t.Errorf("the mode of the replaced file changed: %v, %v", info.Mode(), err)
	}
	if out := s.out.String(); !strings.Contains(out, "resolver.conf was written; backup: "+s.path("resolver.conf.20261123T140000")+".\n") || !strings.Contains(out, "+ stop sensor\n") {
		t.Errorf("printed %s", out)
	}

	s.ran, s.Now = nil, s.Now.Add(time.Hour)
	if err := s.Apply(t.Context(), s.plan("checkconf")); err != nil {
		t.Fatal(err)
	}
	if got := s.content(t); !slices.Equal(got, want) {
		t.Errorf("the second time: got %q, want %q", got, want)
	}
	if want := []string{"check", "checkconf", "reload", "start resolver"}; !slices.Equal(s.ran, want) {
		t.Errorf("the second time: ran %q, want %q", s.ran, want)
	}
}

func TestFailedCheckRestoresEveryFile(t *testing.T) {
	s := newStage(t)
	s.put(t, "resolver.conf", "old\n", 0o644)
	s.put(t, "options", "first\n", 0o644)
	before := s.content(t)
	err := s.Apply(t.Context(), s.plan("fail"))
	if err == nil || err.Error() != "fail: exit status 1" {
		t.Errorf("got %v", err)
	}
	if got := s.content(t); !slices.Equal(got, before) {
		t.Errorf("got %q, want %q", got, before)
	}
	if want := []string{"check", "fail"}; !slices.Equal(s.ran, want) {
		t.Errorf("ran %q, want %q", s.ran, want)
	}
}

func TestFileThatCannotBeChangedStopsBeforeTheFirstWrite(t *testing.T) {
	s := newStage(t) // without a file for the Edit
	if err := s.Apply(t.Context(), s.plan("checkconf")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	s.put(t, "options", "first\n", 0o644)
	p := s.plan("checkconf")
	p[1].Files[1].Edit.insert = insertInOptions
	if err := s.Apply(t.Context(), p); err == nil || !strings.Contains(err.Error(), "options: it has no options statement: add more") {
		t.Errorf("got %v", err)
	}
	if got, want := s.content(t), []string{"options: first\n"}; !slices.Equal(got, want) || s.ran != nil {
		t.Errorf("got %q, want %q; ran %q", got, want, s.ran)
	}
}

// TestFailedWriteRestoresEveryFile: a file is in the place of a folder.
func TestFailedWriteRestoresEveryFile(t *testing.T) {
	s := newStage(t)
	s.put(t, "resolver.conf", "old\n", 0o644)
	s.put(t, "options", "first\n", 0o644)
	before := s.content(t)
	p := s.plan("checkconf")
	p[2].Files = []File{{Path: s.path("options/x"), Text: "x"}}
	if err := s.Apply(t.Context(), p); err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("got %v", err)
	}
	if got := s.content(t); !slices.Equal(got, before) {
		t.Errorf("got %q, want %q", got, before)
	}
}

func TestOperatorIsAskedBeforeEachChange(t *testing.T) {
	s := newStage(t)
	s.put(t, "resolver.conf", "old\n", 0o644)
	s.put(t, "options", "more\n", 0o644) // up to date
	var asked []string
	s.Ask = func(question string) (bool, error) {
		asked = append(asked, strings.ReplaceAll(question, s.dir, ""))
		return strings.HasPrefix(question, "Write"), nil
	}
	if err := s.Apply(t.Context(), s.plan("checkconf")); err != nil {
		t.Fatal(err)
	}
	if want := []string{"Write /new/sensor.hcl?", "Replace /resolver.conf? A backup remains."}; !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
	if got, want := s.content(t), []string{"new/sensor.hcl: sensor\n", "options: more\n", "resolver.conf: old\n"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if want := []string{"check", "checkconf", "reload", "stop sensor", "start resolver"}; !slices.Equal(s.ran, want) {
		t.Errorf("ran %q, want %q", s.ran, want)
	}
	s.Ask = func(string) (bool, error) { return false, errors.New("end of input") }
	if err := s.Apply(t.Context(), s.plan("checkconf")); err == nil || err.Error() != "end of input" {
		t.Errorf("got %v", err)
	}
}

func TestFailedCommandKeepsFiles(t *testing.T) {
	s := newStage(t)
	s.put(t, "options", "first\n", 0o644)
	p := s.plan("checkconf")
	p[2].Commands[0].Args = []string{"fail"}
	if err := s.Apply(t.Context(), p); err == nil || err.Error() != "fail: exit status 1" {
		t.Errorf("got %v", err)
	}
	if got := s.content(t); len(got) != 4 {
		t.Errorf("got %q", got)
	}
	if want := []string{"check", "checkconf", "fail"}; !slices.Equal(s.ran, want) {
		t.Errorf("ran %q, want %q", s.ran, want)
	}
	s.ran = nil
	if err := s.Apply(t.Context(), Plan{{Commands: []Command{{Args: []string{"fail"}, Twice: true}}}}); err == nil {
		t.Error("got no error")
	}
	if want := []string{"fail", "fail"}; !slices.Equal(s.ran, want) {
		t.Errorf("ran %q, want %q", s.ran, want)
	}
}
