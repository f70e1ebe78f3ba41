package main

import (
	"fmt"
	"os/user"
	"strconv"
	"strings"
)

// account is what a process becomes.
type account struct {
	name     string
	uid, gid int
	groups   []int // the supplementary ones
}

// lookupAccount reads "user" or "user:group", names or numbers. Without a group it is that of
// the user, with the user's supplementary ones.
func lookupAccount(text string) (a account, err error) {
	name, group, hasGroup := strings.Cut(text, ":")
	u, err := user.Lookup(name)
	if _, isNumber := strconv.ParseUint(name, 10, 31); err != nil && isNumber == nil {
		u, err = user.LookupId(name)
	}
	if err != nil {
		return a, fmt.Errorf("unknown user %q; expected a name or number of this system", name)
	}
	a.name = text
	a.uid, _ = strconv.Atoi(u.Uid)
	a.gid, _ = strconv.Atoi(u.Gid)
	if !hasGroup {
		return a, a.addGroups(u)
	}
	g, err := user.LookupGroup(group)
	if _, isNumber := strconv.ParseUint(group, 10, 31); err != nil && isNumber == nil {
		g, err = user.LookupGroupId(group)
	}
	if err != nil {
		return a, fmt.Errorf("unknown group %q; expected a name or number of this system", group)
	}
	a.gid, _ = strconv.Atoi(g.Gid)
	return a, nil
}

func (a *account) addGroups(u *user.User) error {
	ids, err := u.GroupIds()
	if err != nil {
		return err
	}
	for _, id := range ids {
		if n, err := strconv.Atoi(id); err == nil {
			a.groups = append(a.groups, n)
		}
	}
	return nil
}
