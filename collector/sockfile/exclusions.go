package sockfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// resolverUsers are the users as which Debian runs resolvers. Knot Resolver's is absent: its
// dnstap has no outward messages.
var resolverUsers = []struct{ name, resolver string }{
	{"bind", "BIND"},
	{"unbound", "Unbound"},
	{"pdns", "PowerDNS Recursor"},
}

// An Exclusion reports that a resolver's user on this machine cannot connect to a socket.
type Exclusion struct {
	User, Resolver string
	Problem        string // which file excludes the user
	Advice         string // what to change
}

// PredictExclusions returns the resolvers' users on this machine that could not connect if this
// process created a socket at path with access a. Folders that do not exist, or that this
// process may not see, are not checked. An error means that the socket cannot be created
// with a's owner or group, or that a user cannot be looked up.
//
// The prediction uses mode, owner and group as the kernel does without access control lists
// and security modules.
func PredictExclusions(path string, a Access) ([]Exclusion, error) {
	folders, whole := foldersOf(filepath.Dir(path))
	uid, gid := uint32(os.Geteuid()), uint32(os.Getegid())
	if last := len(folders) - 1; whole && folders[last].mode&fs.ModeSetgid != 0 {
		gid = folders[last].gid
	}
	uid, gid, err := a.ids(uid, gid)
	if err != nil {
		return nil, err
	}
	return excluded(folders, inode{path, a.Mode.Perm(), uid, gid}, ourConfiguration)
}

// CurrentExclusions returns the resolvers' users on this machine that cannot connect to the
// socket at path as it is. inherited means that systemd created the socket: the advice names
// its settings. An error means that this process cannot see the socket or look up a user.
func CurrentExclusions(path string, inherited bool) ([]Exclusion, error) {
	var stat unix.Stat_t
	if err := unix.Lstat(path, &stat); err != nil {
		return nil, fmt.Errorf("looking at the socket %s: %w", path, err)
	}
	names := ourConfiguration
	if inherited {
		names = socketUnit
	}
	folders, _ := foldersOf(filepath.Dir(path))
	return excluded(folders, inode{path, fs.FileMode(stat.Mode).Perm(), stat.Uid, stat.Gid}, names)
}

// settings are the formats in which advice writes a socket's mode and group.
type settings struct{ mode, group string }

var (
	ourConfiguration = settings{"mode = %q", "group = %q"}
	socketUnit       = settings{"SocketMode=%s in its socket unit", "SocketGroup=%s in its socket unit"}
)

func excluded(folders []inode, socket inode, names settings) ([]Exclusion, error) {
	var all []Exclusion
	for _, r := range resolverUsers {
		a, err := accountOf(r.name)
		if _, unknown := errors.AsType[user.UnknownUserError](err); unknown {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("looking up the user %s: %w", r.name, err)
		}
		if problem, advice := a.obstacle(folders, socket, names); problem != "" {
			all = append(all, Exclusion{r.name, r.resolver, problem, advice})
		}
	}
	return all, nil
}

// Permission bits of the class "others".
const (
	writeBit  fs.FileMode = 0o2
	searchBit fs.FileMode = 0o1
)

// class returns the class of permission bits that applies to the account, in chmod's letter
// and as the shift of its bits. The first class that applies is used, even if a later one
// allows more.
func (a account) class(n inode) (letter string, shift int) {
	switch {
	case a.uid == n.uid:
		return "u", 6
	case slices.Contains(a.gids, n.gid):
		return "g", 3
	}
	return "o", 0
}

func (a account) may(want fs.FileMode, n inode) bool {
	_, shift := a.class(n)
	return n.mode>>shift&want != 0
}

// obstacle returns the first file that prevents the account from connecting, and what to
// change. Both are empty if it can connect.
func (a account) obstacle(folders []inode, socket inode, names settings) (problem, advice string) {
	for _, f := range folders {
		if !a.may(searchBit, f) {
			class, _ := a.class(f)
			return fmt.Sprintf("the user cannot search the folder %s (%s)", f.path, f.describe()),
				fmt.Sprintf("chmod %s+x %s", class, f.path)
		}
	}
	if a.may(writeBit, socket) {
		return "", ""
	}
	problem = fmt.Sprintf("the user cannot write to the socket (%s)", socket.describe())
	class, _ := a.class(socket)
	setMode := func(m fs.FileMode) string { return fmt.Sprintf(names.mode, octal(m)) }
	setGroup := fmt.Sprintf(names.group, a.group)
	switch {
	case class == "u":
		return problem, "set " + setMode(socket.mode|writeBit<<6)
	case class == "g":
		return problem, "set " + setMode(socket.mode|writeBit<<3)
	case socket.mode&(writeBit<<3) != 0:
		return problem, "set " + setGroup
	}
	return problem, "set " + setGroup + " and " + setMode(socket.mode|writeBit<<3)
}

// An inode is the part of a file's metadata that determines access.
type inode struct {
	path     string
	mode     fs.FileMode
	uid, gid uint32
}

func (n inode) describe() string {
	return fmt.Sprintf("mode %s, owner %s, group %s", octal(n.mode), userName(n.uid), groupName(n.gid))
}

func octal(m fs.FileMode) string { return fmt.Sprintf("%04o", m.Perm()) }

// maxLinks is the number of symbolic links that the kernel follows in one path.
const maxLinks = 40

// foldersOf returns the folders that a process must search to open a file in dir, with
// symbolic links followed. If one of them does not exist or is not visible, whole is false,
// and foldersOf returns only the folders before it.
func foldersOf(dir string) (all []inode, whole bool) {
	at, rest, links := "/", strings.Split(dir, "/"), 0
	for {
		n, target, ok := readFolder(at)
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
		if !slices.ContainsFunc(all, func(seen inode) bool { return seen.path == n.path }) { // not again after a link
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

// readFolder returns the folder at path, or the target if path is a symbolic link. ok is false
// for any other file, and after an error.
func readFolder(path string) (n inode, target string, ok bool) {
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
