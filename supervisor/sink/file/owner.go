package file

import (
	"fmt"
	"os/user"
	"strconv"
	"strings"

	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/atomicfile"
)

// owner of a file; each may be [atomicfile.Unchanged].
type owner struct{ uid, gid int }

// parseOwner reads user, user:group or :group, by name or number.
func parseOwner(s string) (owner, error) {
	o := owner{atomicfile.Unchanged, atomicfile.Unchanged}
	name, group, _ := strings.Cut(s, ":")
	if name != "" {
		id, err := number(name, func() (string, error) {
			u, err := user.Lookup(name)
			if err != nil {
				return "", err
			}
			return u.Uid, nil
		})
		if err != nil {
			return o, fmt.Errorf("owner %q: no user %q on this machine: create it or use its number", s, name)
		}
		o.uid = id
	}
	if group != "" {
		id, err := number(group, func() (string, error) {
			g, err := user.LookupGroup(group)
			if err != nil {
				return "", err
			}
			return g.Gid, nil
		})
		if err != nil {
			return o, fmt.Errorf("owner %q: no group %q on this machine: create it or use its number", s, group)
		}
		o.gid = id
	}
	return o, nil
}

// number reads s as an id, or looks it up.
func number(s string, lookup func() (string, error)) (int, error) {
	if id, err := strconv.ParseUint(s, 10, 31); err == nil {
		return int(id), nil
	}
	found, err := lookup()
	if err != nil {
		return 0, err
	}
	id, err := strconv.ParseUint(found, 10, 31)
	return int(id), err
}
