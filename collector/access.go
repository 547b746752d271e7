package collector

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// resolverUsers are whom Debian's resolvers run as. Knot Resolver's is not among
// them: it has nothing outward to say here.
var resolverUsers = []struct{ name, resolver string }{
	{"bind", "BIND"},
	{"unbound", "Unbound"},
	{"pdns", "PowerDNS Recursor"},
}

// An Exclusion says that a user of this machine as whom a resolver runs cannot
// connect to a source.
type Exclusion struct {
	User, Resolver string
	Problem        string // what keeps the user out
	Advice         string // what lets it in
}

// Exclusions returns which resolvers' users on this machine would be kept out by
// the socket of cfg, if this process creates it, or by a folder above it, as far as
// those exist and may be seen. An error says that the socket could not be created so.
//
// It goes by mode, owner and group, as the kernel does where there is no access
// control list and no security module.
func Exclusions(cfg Config) ([]Exclusion, error) {
	if cfg.Network != "unix" {
		return nil, nil
	}
	folders, whole := foldersOf(filepath.Dir(cfg.Address))
	uid, gid := uint32(os.Geteuid()), uint32(os.Getegid())
	if last := len(folders) - 1; whole && folders[last].mode&fs.ModeSetgid != 0 {
		gid = folders[last].gid
	}
	socket, err := prospect(cfg, uid, gid)
	if err != nil {
		return nil, err
	}
	return excluded(folders, socket, ownSocket)
}

// Exclusions is the same of the source's socket as it is, whoever made it. An error says
// that it is not to be seen.
func (s *Source) Exclusions() ([]Exclusion, error) {
	s.mu.Lock()
	path, words := s.config.Address, ownSocket
	network := s.config.Network
	s.mu.Unlock()
	if network != "unix" {
		return nil, nil
	}
	if s.socket == nil {
		words = socketUnit
	}
	var stat unix.Stat_t
	if err := unix.Lstat(path, &stat); err != nil {
		return nil, fmt.Errorf("looking at the socket %s: %w", path, err)
	}
	folders, _ := foldersOf(filepath.Dir(path))
	return excluded(folders, inode{path, fs.FileMode(stat.Mode).Perm(), stat.Uid, stat.Gid}, words)
}

// settings is how whoever makes a socket is told its mode and group.
type settings struct{ mode, group string }

var (
	ownSocket  = settings{"mode = %q", "group = %q"}
	socketUnit = settings{"SocketMode=%s in its socket unit", "SocketGroup=%s in its socket unit"}
)

func excluded(folders []inode, socket inode, words settings) ([]Exclusion, error) {
	var all []Exclusion
	for _, r := range resolverUsers {
		a, err := accountOf(r.name)
		if _, unknown := errors.AsType[user.UnknownUserError](err); unknown {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("looking up the user %s: %w", r.name, err)
		}
		if problem, advice := a.obstacle(folders, socket, words); problem != "" {
			all = append(all, Exclusion{r.name, r.resolver, problem, advice})
		}
	}
	return all, nil
}

// Permission bits, as they stand for others.
const (
	writeBit  fs.FileMode = 0o2
	searchBit fs.FileMode = 0o1
)

// class returns whose bits count for the account, as chmod calls them, and by how
// much they are shifted: the first that applies, even where a later one has more.
func (a account) class(n inode) (who string, shift int) {
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

// obstacle returns what keeps the account from connecting; empty where nothing does.
func (a account) obstacle(folders []inode, socket inode, words settings) (problem, advice string) {
	for _, f := range folders {
		if !a.may(searchBit, f) {
			who, _ := a.class(f)
			return fmt.Sprintf("the folder %s is closed to it (%s)", f.path, f.describe()),
				fmt.Sprintf("chmod %s+x %s", who, f.path)
		}
	}
	if a.may(writeBit, socket) {
		return "", ""
	}
	problem = fmt.Sprintf("the socket is not writable for it (%s)", socket.describe())
	who, _ := a.class(socket)
	setMode := func(m fs.FileMode) string { return fmt.Sprintf(words.mode, octal(m)) }
	setGroup := fmt.Sprintf(words.group, a.group)
	switch {
	case who == "u":
		return problem, "set " + setMode(socket.mode|writeBit<<6)
	case who == "g":
		return problem, "set " + setMode(socket.mode|writeBit<<3)
	case socket.mode&(writeBit<<3) != 0:
		return problem, "set " + setGroup
	}
	return problem, "set " + setGroup + " and " + setMode(socket.mode|writeBit<<3)
}

func (n inode) describe() string {
	return fmt.Sprintf("mode %s, owner %s, group %s", octal(n.mode), userName(n.uid), groupName(n.gid))
}

func octal(m fs.FileMode) string { return fmt.Sprintf("%04o", m.Perm()) }

// prospect is the socket as it is created by that user and group.
func prospect(cfg Config, uid, gid uint32) (inode, error) {
	n := inode{path: cfg.Address, mode: cfg.Mode.Perm()}
	var err error
	if n.uid, err = accountID(cfg.Owner, uid, userID); err != nil {
		return n, fmt.Errorf("the socket's owner: %w", err)
	}
	if n.gid, err = accountID(cfg.Group, gid, groupID); err != nil {
		return n, fmt.Errorf("the socket's group: %w", err)
	}
	return n, nil
}
