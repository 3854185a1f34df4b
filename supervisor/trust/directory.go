package trust

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// directory is which users and groups the files of a machine name (passwd(5),
// group(5)). Those of a network are not asked: it can hang, and who is not
// found counts as a stranger. They are read when the first one is asked for: mostly
// none is.
type directory struct{ read func() listed }

// listed are the users and groups of a directory.
type listed struct {
	names  map[int]string // of users
	groups map[int]group
}

// group is who can act with a group's rights.
type group struct {
	name string
	// members by number; stranger for one who is not in passwd.
	members []int
}

// stranger is no user's number.
const stranger = -1

func directoryOf(passwd, groups string) directory {
	return directory{sync.OnceValue(func() listed { return readListed(passwd, groups) })}
}

func (d directory) listed() listed {
	if d.read == nil {
		return listed{}
	}
	return d.read()
}

func readListed(passwd, groups string) listed {
	d := listed{names: map[int]string{}, groups: map[int]group{}}
	numbers := map[string]int{}
	primary := map[int][]int{}
	for _, f := range records(passwd, 4) {
		uid, err := strconv.Atoi(f[2])
		if err != nil {
			continue
		}
		numbers[f[0]] = uid
		if _, ok := d.names[uid]; !ok {
			d.names[uid] = f[0]
		}
		if gid, err := strconv.Atoi(f[3]); err == nil {
			primary[gid] = append(primary[gid], uid)
		}
	}
	for _, f := range records(groups, 4) {
		gid, err := strconv.Atoi(f[2])
		if err != nil {
			continue
		}
		g := d.groups[gid]
		if g.name == "" {
			g = group{name: f[0], members: primary[gid]}
		}
		for name := range strings.SplitSeq(f[3], ",") {
			if name = strings.TrimSpace(name); name == "" {
				continue
			}
			uid, ok := numbers[name]
			if !ok {
				uid = stranger
			}
			g.members = append(g.members, uid)
		}
		d.groups[gid] = g
	}
	return d
}

// records are the lines of a file that have so many fields.
func records(path string, fields int) [][]string {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	var all [][]string
	for line := range strings.Lines(string(b)) {
		if f := strings.Split(strings.TrimSpace(line), ":"); len(f) >= fields && !strings.HasPrefix(line, "#") {
			all = append(all, f)
		}
	}
	return all
}

// isMadeUp says whether a user is one of those that systemd makes up for services
// (UIDS-GIDS.md in systemd), whom nobody can become.
func (d directory) isMadeUp(uid int) bool {
	const first, last = 61184, 65519
	return uid >= first && uid <= last && d.listed().names[uid] == ""
}

// groupsOf are the groups that a user is in.
func (d directory) groupsOf(uid int) []int {
	var all []int
	for gid, g := range d.listed().groups {
		if slices.Contains(g.members, uid) {
			all = append(all, gid)
		}
	}
	return all
}

// user names a user for people.
func (d directory) user(uid int) string {
	if name := d.listed().names[uid]; name != "" {
		return fmt.Sprintf("%s (%d)", name, uid)
	}
	return fmt.Sprintf("user %d", uid)
}

// group names a group for people.
func (d directory) group(gid int) string {
	if g, ok := d.listed().groups[gid]; ok {
		return fmt.Sprintf("%s (%d)", g.name, gid)
	}
	return fmt.Sprintf("group %d", gid)
}

// theGroup names a group within a sentence.
func (d directory) theGroup(gid int) string {
	return "the group " + strings.TrimPrefix(d.group(gid), "group ")
}
