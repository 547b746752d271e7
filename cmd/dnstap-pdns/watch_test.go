package main

import (
	"os"
	"path/filepath"
	"testing"
)

// looks is how often a watch that looks n times tells of a change.
func looks(w *watch, n int) (changes int) {
	for range n {
		if w.changed() {
			changes++
		}
	}
	return changes
}

// Whatever an editor or a deployment does to a file is told of once, when it is done.
func TestEachChangeIsToldOfOnce(t *testing.T) {
	dir := t.TempDir()
	path, target := filepath.Join(dir, "names"), filepath.Join(dir, "target")
	must := func(errs ...error) {
		t.Helper()
		for _, err := range errs {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	must(os.WriteFile(path, []byte("one\n"), 0o600))
	w := watch{path: path}
	if got := looks(&w, 5); got != 1 {
		t.Errorf("at first: %d changes, want 1", got)
	}
	steps := []struct {
		name string
		do   func()
	}{
		{"written in place", func() { must(os.WriteFile(path, []byte("two, and more\n"), 0o600)) }},
		{"another renamed over it", func() { must(os.WriteFile(target, []byte("six\n"), 0o600), os.Rename(target, path)) }},
		{"removed", func() { must(os.Remove(path)) }},
		{"there again", func() { must(os.WriteFile(path, []byte("one\n"), 0o600)) }},
		{"a link in its place", func() {
			must(os.WriteFile(target, []byte("ten\n"), 0o600), os.Remove(path), os.Symlink("target", path))
		}},
		{"changed behind the link", func() { must(os.WriteFile(target, []byte("eleven\n"), 0o600)) }},
	}
	for _, s := range steps {
		s.do()
		if got := looks(&w, 5); got != 1 {
			t.Errorf("%s: %d changes, want 1", s.name, got)
		}
	}
}

func TestAFileThatIsBeingWrittenIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "names")
	w := watch{path: path}
	if got := looks(&w, 3); got != 0 {
		t.Errorf("%d changes of a file that never was", got)
	}
	text := []byte{}
	for range 4 { // longer at each look, and gone for one
		text = append(text, "name.example\n"...)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if w.changed() {
			t.Error("told of while it is written")
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if w.changed() {
			t.Error("told of while it is gone for a moment")
		}
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := looks(&w, 3); got != 1 {
		t.Errorf("%d changes when it is whole, want 1", got)
	}
	if nothing := (watch{}); looks(&nothing, 3) != 0 {
		t.Error("a change of no file")
	}
}
