package trust

import (
	"fmt"
	"maps"
	"slices"
)

// Openers are who may open a file for reading or writing and is not trusted
// with it.
type Openers struct {
	// Everybody on this machine; the others are not listed then.
	Everybody bool
	// Groups by number, for their members, and Users who are in none of them.
	Groups, Users []int

	file  facts
	users directory
}

// Openers finds who may open the file at an absolute path, by modes and lists of
// the file and of all folders on the way. The owner of a folder is trusted as in
// [Judge.Folder], and nothing is refused. The error wraps fs.ErrNotExist if
// something is missing.
func (j Judge) Openers(path string) (Openers, error) {
	w := &way{judge: j, looks: true}
	end, err := w.walk(path)
	if err != nil {
		return Openers{}, err
	}
	end.close()
	return w.openers(), nil
}

// Nobody says whether there is none.
func (o Openers) Nobody() bool { return !o.Everybody && len(o.Groups) == 0 && len(o.Users) == 0 }

// Beyond leaves out who may open another file as well.
func (o Openers) Beyond(other Openers) Openers {
	if other.Everybody {
		return Openers{file: o.file, users: o.users}
	}
	o.Groups = slices.DeleteFunc(slices.Clone(o.Groups), func(gid int) bool { return slices.Contains(other.Groups, gid) })
	o.Users = slices.DeleteFunc(slices.Clone(o.Users), func(uid int) bool { return slices.Contains(other.Users, uid) })
	return o
}

// BeyondGroup leaves out the group that the file itself is of.
func (o Openers) BeyondGroup() Openers { return o.Beyond(Openers{Groups: []int{o.file.gid}}) }

// Names are who they are, for people.
func (o Openers) Names() []string {
	if o.Everybody {
		return []string{"everybody on this machine"}
	}
	var all []string
	for _, gid := range o.Groups {
		all = append(all, o.users.theGroup(gid))
	}
	for _, uid := range o.Users {
		all = append(all, o.users.user(uid))
	}
	return all
}

// Closing is the command that keeps them out, and leaves its rights to whoever
// else has some.
func (o Openers) Closing() string {
	mode, do := o.file.mode&0o7777, ""
	if list, _ := entriesIn(o.file.acl); list != nil && !o.Everybody {
		do = "setfacl -b " + quote(o.file.path) + " && "
		mode &^= 0o070 // its mask, so far
		for _, e := range list {
			if e.tag == aclGroupObj {
				mode |= uint32(e.perm) << 3
			}
		}
	}
	if o.Everybody {
		mode &^= 0o007
	}
	for _, gid := range o.Groups {
		mode &^= o.classOf(gid == o.file.gid)
	}
	for _, uid := range o.Users {
		mode &^= o.classOf(slices.Contains(o.users.groupsOf(uid), o.file.gid))
	}
	return fmt.Sprintf("%schmod %04o %s", do, mode, quote(o.file.path))
}

// classOf is where a mode has the rights of members of the file's group, or of
// others.
func (o Openers) classOf(isMember bool) uint32 {
	if isMember {
		return 0o070
	}
	return 0o007
}

// subject is somebody who opens files (path_resolution(7)).
type subject struct {
	uid    int
	groups []int
}

// Rights of a mode.
const search, readOrWrite = 0o1, 0o6

// openers asks for a stranger, for each group that the way names, and for each
// user whom the way or this machine knows.
func (w *way) openers() Openers {
	file := w.passed[len(w.passed)-1]
	found := Openers{file: file, users: w.judge.users}
	if found.Everybody = w.opens(subject{uid: stranger}); found.Everybody {
		return found
	}
	groups, users := w.named()
	for _, gid := range groups {
		if !w.harmless(gid, file.uid) && w.opens(subject{stranger, []int{gid}}) {
			found.Groups = append(found.Groups, gid)
		}
	}
	for _, uid := range users {
		s := subject{uid, w.judge.users.groupsOf(uid)}
		isListed := slices.ContainsFunc(s.groups, func(gid int) bool { return slices.Contains(found.Groups, gid) })
		if !isListed && !w.mayWrite(uid, file.uid) && w.opens(s) {
			found.Users = append(found.Users, uid)
		}
	}
	return found
}

// opens says whether a subject comes through all folders and may open the file.
func (w *way) opens(s subject) bool {
	last := len(w.passed) - 1
	for _, f := range w.passed[:last] {
		if f.permits(s)&search == 0 {
			return false
		}
	}
	return w.passed[last].permits(s)&readOrWrite != 0
}

// named are the groups and users that the way gives rights to, with all users
// of this machine, in order.
func (w *way) named() (groups, users []int) {
	users = slices.Collect(maps.Keys(w.judge.users.listed().names))
	for _, f := range w.passed {
		groups, users = append(groups, f.gid), append(users, f.uid)
		list, _ := entriesIn(f.acl) // one that can't be read is refused on the way
		for _, e := range list {
			switch e.tag {
			case aclGroup:
				groups = append(groups, e.id)
			case aclUser:
				users = append(users, e.id)
			}
		}
	}
	slices.Sort(groups)
	slices.Sort(users)
	return slices.Compact(groups), slices.Compact(users)
}

// permits are the rights of a subject (the access check of acl(5)).
func (f facts) permits(s subject) uint32 {
	if s.uid == f.uid {
		return f.mode >> 6 & 0o7
	}
	list := []entry{{tag: aclGroupObj, perm: uint16(f.mode >> 3 & 0o7)}}
	if f.acl != nil {
		list, _ = entriesIn(f.acl)
	}
	granted, isMember := uint32(0), false
	for _, e := range list {
		gid := e.id
		switch e.tag {
		case aclUser:
			if e.id == s.uid {
				return uint32(e.perm)
			}
			continue
		case aclGroupObj:
			gid = f.gid
		case aclGroup:
		default:
			continue
		}
		if slices.Contains(s.groups, gid) {
			granted, isMember = granted|uint32(e.perm), true
		}
	}
	if isMember {
		return granted
	}
	return f.mode & 0o7
}
