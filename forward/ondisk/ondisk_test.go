package ondisk

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestALockHasOneOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	inUse := errors.New("in use")
	first, err := Lock(path, inUse)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(path, inUse); !errors.Is(err, inUse) {
		t.Errorf("the second lock: %v", err)
	}
	first.Close()
	again, err := Lock(path, inUse)
	if err != nil {
		t.Fatalf("after the first owner: %v", err)
	}
	again.Close()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestLinksAreNotFollowed(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "lock")
	if err := os.Symlink(filepath.Join(dir, "other"), link); err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(link, errors.New("in use")); err == nil {
		t.Error("no error")
	}
}

func TestSync(t *testing.T) {
	dir := t.TempDir()
	if err := Sync(dir); err != nil {
		t.Error(err)
	}
	if err := Sync(filepath.Join(dir, "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}
