package main

import (
	"os"
	"path/filepath"
	"testing"
)

// poll polls n times, and returns the number of reported changes.
func poll(f *filePoller, n int) (changes int) {
	for range n {
		if f.changed() {
			changes++
		}
	}
	return changes
}

// TestEachChangeIsReportedOnce makes the changes of editors and deployments.
func TestEachChangeIsReportedOnce(t *testing.T) {
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
	f := filePoller{path: path}
	if got := poll(&f, 5); got != 1 {
		t.Errorf("at first: %d changes, want 1", got)
	}
	steps := []struct {
		name string
		do   func()
	}{
		{"written in place", func() { must(os.WriteFile(path, []byte("two, and more\n"), 0o600)) }},
		{"another renamed over it", func() { must(os.WriteFile(target, []byte("six\n"), 0o600), os.Rename(target, path)) }},
		{"removed", func() { must(os.Remove(path)) }},
		{"created again", func() { must(os.WriteFile(path, []byte("one\n"), 0o600)) }},
		{"a link in its place", func() {
			must(os.WriteFile(target, []byte("ten\n"), 0o600), os.Remove(path), os.Symlink("target", path))
		}},
		{"the target of the link changed", func() { must(os.WriteFile(target, []byte("eleven\n"), 0o600)) }},
	}
	for _, s := range steps {
		s.do()
		if got := poll(&f, 5); got != 1 {
			t.Errorf("%s: %d changes, want 1", s.name, got)
		}
	}
}

func TestChangeIsReportedWhenTheFileIsStable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "names")
	f := filePoller{path: path}
	if got := poll(&f, 3); got != 0 {
		t.Errorf("%d changes of a file that does not exist", got)
	}
	text := []byte{}
	for range 4 { // longer at each poll, with polls between that find no file
		text = append(text, "name.example\n"...)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if f.changed() {
			t.Error("a change is reported while the file is written")
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if f.changed() {
			t.Error("a change is reported while the file is missing")
		}
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := poll(&f, 3); got != 1 {
		t.Errorf("%d changes of the complete file, want 1", got)
	}
	if none := (filePoller{}); poll(&none, 3) != 0 {
		t.Error("a change without a path")
	}
}
