package collector

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// An inode is what of a file decides on access.
type inode struct {
	path     string
	mode     fs.FileMode
	uid, gid uint32
}

// maxLinks is how many symbolic links the kernel follows in one path.
const maxLinks = 40

// foldersOf returns the folders that have to be searched to get at something in
// dir, symbolic links followed. They are not the whole where one does not exist or
// may not be seen.
func foldersOf(dir string) (all []inode, whole bool) {
	at, rest, links := "/", strings.Split(dir, "/"), 0
	for {
		n, target, ok := lookAt(at)
		if !ok {
			return all, false
		}
		if target != "" {
			if links++; links > maxLinks {
				return all, false
			}
			rest = append(strings.Split(target, "/"), rest...)
			if at = filepath.Dir(at); filepath.IsAbs(target) {
				at = "/"
			}
			continue
		}
		if !slices.ContainsFunc(all, func(seen inode) bool { return seen.path == n.path }) { // a link leads back
			all = append(all, n)
		}
		for len(rest) > 0 && (rest[0] == "" || rest[0] == ".") {
			rest = rest[1:]
		}
		if len(rest) == 0 {
			return all, true
		}
		at, rest = filepath.Join(at, rest[0]), rest[1:]
	}
}

// lookAt returns a folder, or where a link leads.
func lookAt(path string) (n inode, target string, ok bool) {
	info, err := os.Lstat(path)
	if err != nil {
		return n, "", false
	}
	if info.Mode().Type() == fs.ModeSymlink {
		target, err = os.Readlink(path)
		return n, target, err == nil && target != ""
	}
	stat, known := info.Sys().(*syscall.Stat_t)
	if !known || !info.IsDir() {
		return n, "", false
	}
	return inode{path, info.Mode(), stat.Uid, stat.Gid}, "", true
}
