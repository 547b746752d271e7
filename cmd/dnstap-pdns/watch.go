package main

import "golang.org/x/sys/unix"

// A watch tells when a file has become another. It looks, rather than wait to be told:
// that works for whatever an editor or a deployment does (rename, links, mounts), and on
// any file system.
type watch struct {
	path  string
	taken fileState // as of the latest change that was told of
	seen  fileState // at the latest look
}

// A fileState tells one state of a file from another. It is zero where there is none,
// or none to be seen.
type fileState struct {
	device, inode uint64
	size          int64
	changed       unix.Timespec // of the inode, which nobody can set back
}

func stateOf(path string) fileState {
	var s unix.Stat_t
	if unix.Stat(path, &s) != nil {
		return fileState{}
	}
	return fileState{s.Dev, s.Ino, s.Size, s.Ctim}
}

// changed reports whether the file is another than at the latest report, once it is the
// same at two looks: one that is being written, or that is gone for a moment, is left
// alone. What is there at first is a change.
func (w *watch) changed() bool {
	if w.path == "" {
		return false
	}
	now := stateOf(w.path)
	settled := now == w.seen
	w.seen = now
	if !settled || now == w.taken {
		return false
	}
	w.taken = now
	return true
}
