package sockfile

import (
	"errors"
	"fmt"
	"os/user"
	"strconv"
)

// An account is a user and its groups.
type account struct {
	uid   uint32
	group string // name of the primary group
	gids  []uint32
}

// accountOf looks up the user with this name and all of its groups.
func accountOf(name string) (account, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return account{}, err
	}
	ids, err := u.GroupIds()
	if err != nil {
		return account{}, err
	}
	group := u.Gid
	if g, err := user.LookupGroupId(u.Gid); err == nil {
		group = g.Name
	}
	a := account{group: group}
	if a.uid, err = accountID(u.Uid, 0, nil); err != nil {
		return account{}, err
	}
	for _, id := range append([]string{u.Gid}, ids...) {
		gid, err := accountID(id, 0, nil)
		if err != nil {
			return account{}, err
		}
		a.gids = append(a.gids, gid)
	}
	return a, nil
}

// userName returns the user's name, or its number if it has none.
func userName(uid uint32) string {
	id := fmt.Sprint(uid)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}

// groupName returns the group's name, or its number if it has none.
func groupName(gid uint32) string {
	id := fmt.Sprint(gid)
	if g, err := user.LookupGroupId(id); err == nil {
		return g.Name
	}
	return id
}

// accountID returns the number of the user or group account, which is a name or a number. If
// account is empty, accountID returns created, the number with which the file was created.
func accountID(account string, created uint32, lookup func(name string) (id string, err error)) (uint32, error) {
	if account == "" {
		return created, nil
	}
	id := account
	if _, err := strconv.ParseUint(account, 10, 32); err != nil {
		if id, err = lookup(account); err != nil {
			return 0, err
		}
	}
	n, err := strconv.ParseUint(id, 10, 32)
	if err != nil || n == 1<<32-1 { // -1 makes chown change nothing
		return 0, fmt.Errorf("%q is not a valid account", account)
	}
	return uint32(n), nil
}

// userID returns the number of the user with this name.
func userID(name string) (string, error) {
	u, err := user.Lookup(name)
	if _, unknown := errors.AsType[user.UnknownUserError](err); unknown {
		return "", fmt.Errorf("there is no user %q on this machine: create it, or name another", name)
	}
	if err != nil {
		return "", err
	}
	return u.Uid, nil
}

// groupID returns the number of the group with this name.
func groupID(name string) (string, error) {
	g, err := user.LookupGroup(name)
	if _, unknown := errors.AsType[user.UnknownGroupError](err); unknown {
		return "", fmt.Errorf("there is no group %q on this machine: create it, or name another", name)
	}
	if err != nil {
		return "", err
	}
	return g.Gid, nil
}
