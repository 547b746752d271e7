package sockfile

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Probe returns the error with which Listen at path with access a would fail now, except that
// another process may listen there: inUse reports this. Probe connects to no socket, because a
// connection starts a service or is counted by it. It makes a socket in the same folder, on
// which it does not listen, and removes it.
func Probe(path string, a Access) (inUse bool, err error) {
	if err := checkPath(path); err != nil {
		return false, err
	}
	found, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR):
	case err != nil:
		return false, err
	case found.Mode().Type() != fs.ModeSocket:
		return false, notASocket(found)
	default:
		if inUse, err = listens(path); inUse || err != nil {
			return inUse, err
		}
	}
	dir, err := unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, bindError(err, path)
	}
	defer unix.Close(dir)
	// By the descriptor of the folder, because the path of a socket is short.
	f, fd, err := createFile(fmt.Sprintf("/proc/self/fd/%d/.dnstap-pdns-%d", dir, os.Getpid()), path, a)
	if err != nil {
		return false, err
	}
	return false, errors.Join(f.remove(), unix.Close(fd))
}

// listens reports whether a process of this network namespace listens at path.
func listens(path string) (bool, error) {
	f, err := os.Open("/proc/self/net/unix")
	if err != nil {
		return false, fmt.Errorf("reading which sockets are in use: %w", err)
	}
	defer f.Close()
	const flags, firstOfPath, listening = 3, 7, 1 << 16 // of "Num RefCount Protocol Flags Type St Inode Path"; __SO_ACCEPTCON
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.SplitN(strings.Join(strings.Fields(lines.Text()), " "), " ", firstOfPath+1)
		if len(fields) != firstOfPath+1 || fields[firstOfPath] != path {
			continue
		}
		if n, err := strconv.ParseUint(fields[flags], 16, 32); err == nil && n&listening != 0 {
			return true, nil
		}
	}
	return false, lines.Err()
}

// Denied returns the first file or folder on the way to path that the user of that name may
// not search, or whose permission bits do not include want for it: read (4) or write (2). It
// is empty if the user may. A user that does not exist yet has the rights of others, and of
// groups. The prediction is that of [PredictExclusions].
func Denied(path string, want fs.FileMode, userName string, groups []string) (problem string, err error) {
	if path, err = filepath.EvalSymlinks(path); err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return "", err
	}
	a := account{uid: noUser}
	if known, err := accountOf(userName); err == nil {
		a = known
	}
	for _, name := range append(groups, userName) {
		if gid, err := accountID(name, 0, groupID); err == nil {
			a.gids = append(a.gids, gid)
		}
	}
	n, err := inodeOf(path)
	if err != nil {
		return "", err
	}
	if a.uid == 0 {
		return "", nil
	}
	folders, _ := foldersOf(filepath.Dir(path))
	for _, f := range folders {
		if !a.may(searchBit, f) {
			return fmt.Sprintf("the folder %s (%s)", f.path, f.describe()), nil
		}
	}
	if !a.may(want, n) {
		return fmt.Sprintf("%s (%s)", n.path, n.describe()), nil
	}
	return "", nil
}

// noUser is the number of no user.
const noUser = 1<<32 - 1

func inodeOf(path string) (inode, error) {
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil {
		return inode{}, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return inode{path, fs.FileMode(stat.Mode).Perm(), stat.Uid, stat.Gid}, nil
}
