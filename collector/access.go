package collector

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
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
	var all []Exclusion
	for _, r := range resolverUsers {
		a, err := accountOf(r.name)
		if _, unknown := errors.AsType[user.UnknownUserError](err); unknown {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("looking up the user %s: %w", r.name, err)
		}
		if problem, advice := a.obstacle(folders, socket); problem != "" {
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
func (a account) obstacle(folders []inode, socket inode) (problem, advice string) {
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
	switch {
	case who == "u":
		return problem, fmt.Sprintf("set mode = %q", octal(socket.mode|writeBit<<6))
	case who == "g":
		return problem, fmt.Sprintf("set mode = %q", octal(socket.mode|writeBit<<3))
	case socket.mode&(writeBit<<3) != 0:
		return problem, fmt.Sprintf("set group = %q", a.group)
	}
	return problem, fmt.Sprintf("set group = %q and mode = %q", a.group, octal(socket.mode|writeBit<<3))
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
