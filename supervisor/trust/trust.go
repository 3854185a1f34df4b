// Package trust answers who could have put something at a path, and who is at
// the other end of a local socket. Both are asked when a configuration is
// checked, and again at the moment of use.
package trust

import (
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
)

// Rule is who may change what lies at a path, beside root and the user that
// runs this process, who always may.
type Rule struct {
	// Steers is for what decides what this process does: configuration,
	// secrets, programs, folders of plugins. Nobody but Users is trusted then.
	// Otherwise it is a target of data, which may lie in the folder of one other
	// user, who is trusted as the owner of what is in it.
	Steers bool
	// Users are trusted as well, by number.
	Users []int
	// OpenFolder takes folders that others may write into, and whatever they have
	// put there, but for links.
	OpenFolder bool
}

// Grounds are why a path is trusted.
type Grounds struct {
	// Owner is the other user who owns the folder; nil: there is none.
	Owner *Owner
	// Shared: others may put entries of their own into the innermost folder, so
	// that each entry's owner counts.
	Shared bool
	// Open are folders that are taken although others may write into them.
	Open []string
	// Unknown are folders whose owner has no number in this user namespace.
	Unknown []string
}

// Owner is a user who is trusted because a folder is his.
type Owner struct {
	UID    int
	Folder string
	// ByGroup: he does not own it, but may write there as the only one of his
	// private group.
	ByGroup bool
}

// Judge knows who this process is and which users this machine has. It changes
// nothing, and is safe for concurrent use.
type Judge struct {
	self  int
	users directory
	// inNamespace: some owners have no number here, and show as unmapped.
	inNamespace bool
}

// unmapped is the number of an owner who has none in a user namespace
// (user_namespaces(7), /proc/sys/kernel/overflowuid).
const unmapped = 65534

// Here judges for this process.
func Here() Judge {
	maps, err := os.ReadFile("/proc/self/uid_map")
	return Judge{
		self:        os.Geteuid(),
		users:       directoryOf("/etc/passwd", "/etc/group"),
		inNamespace: err == nil && !isInitialMap(string(maps)),
	}
}

// isInitialMap says whether a uid_map is that of no user namespace.
func isInitialMap(text string) bool {
	return strings.Join(strings.Fields(text), " ") == "0 0 4294967295"
}

// Describe says who else is trusted, in words for people; "" if nobody is.
func (j Judge) Describe(g Grounds) string {
	var parts []string
	if g.Owner != nil {
		how := "who owns"
		if g.Owner.ByGroup {
			how = "whose group may write to"
		}
		parts = append(parts, fmt.Sprintf("trusts %s, %s %s", j.users.user(g.Owner.UID), how, g.Owner.Folder))
	}
	for _, folder := range g.Open {
		parts = append(parts, "trusts whoever may write to "+folder+", by trust_folder")
	}
	for _, folder := range g.Unknown {
		parts = append(parts, "the owner of "+folder+" is not known in this user namespace")
	}
	return strings.Join(parts, "; ")
}

// User names a user for people: "bots (1001)".
func (j Judge) User(uid int) string { return j.users.user(uid) }

// Entry refuses what lies at path, in a folder that [Judge.Folder] has opened
// by the same rule, if a stranger may have put it there.
func (j Judge) Entry(path string, info fs.FileInfo, rule Rule, g Grounds) error {
	if !g.Shared || rule.OpenFolder && !rule.Steers {
		return nil
	}
	f, err := factsOf(path, info)
	if err != nil {
		return err
	}
	w := &way{judge: j, rule: rule, found: g, sticky: true}
	return w.owned(f)
}

// Content refuses an open file, in a folder that [Judge.Folder] has opened by the
// same rule, if a stranger may have put it there or can write to it.
func (j Judge) Content(path string, file *os.File, rule Rule, g Grounds) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	f, err := factsOf(path, info)
	if err != nil {
		return err
	}
	if f.acl, err = listOf(int(file.Fd())); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	w := &way{judge: j, rule: rule, found: g, sticky: g.Shared && !(rule.OpenFolder && !rule.Steers)}
	return w.enter(f, true)
}

// Link refuses a symbolic link of anybody but root and our own user.
func (j Judge) Link(path string, info fs.FileInfo) error {
	f, err := factsOf(path, info)
	if err != nil {
		return err
	}
	return (&way{judge: j}).enter(f, true)
}

// factsOf leaves out the access control list.
func factsOf(path string, info fs.FileInfo) (facts, error) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return facts{}, fmt.Errorf("%s: its owner can't be told", path)
	}
	return facts{path: path, mode: st.Mode, uid: int(st.Uid), gid: int(st.Gid)}, nil
}

// trusts says whether a user may change what the rule is about.
func (j Judge) trusts(rule Rule, uid int) bool {
	if uid == 0 || uid == j.self {
		return true
	}
	return slices.Contains(rule.Users, uid)
}
