package trust

import (
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// facts are what the kernel says of one entry on the way.
type facts struct {
	path     string
	mode     uint32 // with its kind
	uid, gid int
	acl      []byte // nil: none
}

func (f facts) is(kind uint32) bool { return f.mode&unix.S_IFMT == kind }
func (f facts) sticky() bool        { return f.mode&unix.S_ISVTX != 0 }

// way is one path while it is walked, from the root to its end.
type way struct {
	judge Judge
	rule  Rule
	found Grounds
	// sticky: the folder above lets strangers put entries of their own into it.
	sticky bool
	// passed is all but the links, in order; the last is the end.
	passed []facts
	// looks: nothing is refused.
	looks bool
	// leads: nothing but links is refused; doubtful: something else would have been.
	leads, doubtful bool
	// private: it is for our own user alone; open is then why the folder above
	// would be refused if what is in it were not.
	private bool
	open    error
}

// enter takes one more entry, or refuses it.
func (w *way) enter(f facts, innermost bool) error {
	if w.open != nil && !(innermost && w.isPrivate(f)) {
		return w.open
	}
	w.open = nil
	if f.is(unix.S_IFLNK) {
		// A link's mode means nothing; only its owner can have made it.
		if !w.judge.trusts(w.rule, f.uid) {
			return w.refuse(f, "is a symbolic link of "+w.judge.users.user(f.uid)+", who could make it lead elsewhere",
				"write the path that it leads to (realpath shows it)")
		}
		return nil
	}
	w.passed = append(w.passed, f)
	if err := w.owned(f); err != nil {
		return err
	}
	writers, err := w.writers(f)
	if err != nil {
		return w.refuse(f, err.Error(), "setfacl -b "+quote(f.path))
	}
	w.sticky = false
	switch {
	case len(writers) == 0:
	case f.is(unix.S_IFDIR) && f.sticky():
		w.sticky = true
		if innermost && w.acceptsOpen() {
			w.found.Open = append(w.found.Open, f.path)
		}
	case f.is(unix.S_IFDIR) && w.acceptsOpen():
		w.found.Open = append(w.found.Open, f.path)
	case w.private && innermost: // who else may use it is asked at the end
	default:
		err := w.refuse(f, "can be changed by "+strings.Join(writers, " and "), w.narrow(f))
		if !w.private {
			return err
		}
		w.open = err
	}
	w.found.Shared = len(writers) > 0
	return nil
}

// owned refuses an entry of somebody who is not trusted.
func (w *way) owned(f facts) error {
	switch {
	case w.judge.trusts(w.rule, f.uid):
	case f.uid == unmapped && w.judge.inNamespace:
		w.found.Unknown = append(w.found.Unknown, f.path)
	case w.found.Owner != nil && w.found.Owner.UID == f.uid:
	case w.sticky && w.acceptsOpen():
		w.found.Open = append(w.found.Open, filepath.Dir(f.path))
		w.vouches(f)
	case len(w.found.Open) > 0: // who may write there could put this there
		w.vouches(f)
	case w.sticky:
		return w.refuse(f, "belongs to "+w.judge.users.user(f.uid)+", who may have put it there, as everybody may write to the folder above",
			w.without())
	case w.rule.Steers:
		return w.refuse(f, "belongs to "+w.judge.users.user(f.uid),
			"chown root "+quote(f.path)+", or trust that user: trust: ["+w.judge.users.key(f.uid)+"]")
	case w.found.Owner != nil:
		return w.refuse(f, "belongs to "+w.judge.users.user(f.uid)+", though "+w.found.Owner.Folder+" belongs to "+w.judge.users.user(w.found.Owner.UID),
			"choose a folder below those of root, of one user, and of the user that runs Tokenkeeper")
	default:
		w.vouches(f)
	}
	return nil
}

// vouches trusts an entry's owner with what is below it, unless another is.
func (w *way) vouches(f facts) {
	if w.found.Owner == nil {
		w.found.Owner = &Owner{UID: f.uid, Folder: f.path}
	}
}

// acceptsOpen says whether folders may be such as others can write into.
func (w *way) acceptsOpen() bool { return w.rule.OpenFolder && !w.rule.Steers && !w.private }

// without is what to do about an entry of a stranger.
func (w *way) without() string {
	do := "remove it, or choose another folder"
	if !w.rule.Steers {
		do += ", or, if that user may see and replace what is delivered there, trust_folder: true"
	}
	return do
}

// writers names who may change an entry and is not trusted.
func (w *way) writers(f facts) ([]string, error) {
	groupWrites := f.mode&0o020 != 0
	var granted []grant
	if f.acl != nil {
		var err error
		if granted, groupWrites, err = writersIn(f.acl); err != nil {
			return nil, err
		}
	}
	var who []string
	if f.mode&0o002 != 0 {
		who = append(who, "everybody on this machine")
	}
	if groupWrites {
		granted = append(granted, grant{id: f.gid, group: true})
	}
	for _, g := range granted {
		switch {
		case g.group && w.lends(f, g.id):
		case g.group && !w.harmless(g.id, f.uid):
			who = append(who, w.judge.users.theGroup(g.id))
		case !g.group && !w.mayWrite(g.id, f.uid):
			who = append(who, w.judge.users.user(g.id))
		}
	}
	return who, nil
}

// lends says whether a folder that a group may write into is that of one other
// user by this, who is then trusted as its owner is: it is his private group.
func (w *way) lends(f facts, gid int) bool {
	g := w.judge.users.listed().groups[gid]
	if w.rule.Steers || w.found.Owner != nil || !f.is(unix.S_IFDIR) || len(g.members) == 0 {
		return false
	}
	uid := g.members[0]
	for _, member := range g.members {
		if member != uid {
			return false
		}
	}
	if uid == stranger || w.judge.trusts(w.rule, uid) || uid == f.uid || w.judge.users.listed().names[uid] != g.name {
		return false
	}
	w.found.Owner = &Owner{UID: uid, Folder: f.path, ByGroup: true}
	return true
}

// harmless says whether a group is of nobody but those who may write anyway: a
// user's private group, or one without members. A group that this machine does
// not name may be anybody's.
func (w *way) harmless(gid, owner int) bool {
	g, known := w.judge.users.listed().groups[gid]
	for _, uid := range g.members {
		known = known && w.mayWrite(uid, owner)
	}
	return known
}

// mayWrite says whether a user is trusted with an entry: by the rule, as its
// owner, or as the owner of the folder that it is in.
func (w *way) mayWrite(uid, owner int) bool {
	return uid != stranger && (w.judge.trusts(w.rule, uid) || uid == owner || w.found.Owner != nil && w.found.Owner.UID == uid)
}

// narrow is what makes an entry acceptable that others can change.
func (w *way) narrow(f facts) string {
	do := "chmod go-w " + quote(f.path)
	if f.acl != nil {
		do = "setfacl -b " + quote(f.path) + " && " + do
	}
	if f.is(unix.S_IFDIR) && !w.rule.Steers && !w.private {
		do += ", or, if they may see and replace what is delivered there, trust_folder: true"
	}
	return do
}
