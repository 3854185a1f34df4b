// Package trust answers who could have put something at a path, and who is at
// the other end of a local socket. Both are asked when a configuration is
// checked, and again at the moment of use.
package trust

import (
	"fmt"
	"os"
	"strings"
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
	// OpenFolder takes an innermost folder that others may write into.
	OpenFolder bool
}

// Grounds are why a path is trusted.
type Grounds struct {
	// Owner is the other user who owns the folder; nil: there is none.
	Owner *Owner
	// Shared: others may put entries of their own into the innermost folder, so
	// that each entry's owner counts.
	Shared bool
	// Unknown are folders whose owner has no number in this user namespace.
	Unknown []string
}

// Owner is a user who is trusted because a folder is his.
type Owner struct {
	UID    int
	Folder string
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
		users:       readDirectory("/etc/passwd", "/etc/group"),
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
		parts = append(parts, fmt.Sprintf("trusts %s, who owns %s", j.users.user(g.Owner.UID), g.Owner.Folder))
	}
	for _, folder := range g.Unknown {
		parts = append(parts, "the owner of "+folder+" is not known in this user namespace")
	}
	return strings.Join(parts, "; ")
}

// trusts says whether a user may change what the rule is about.
func (j Judge) trusts(rule Rule, uid int) bool {
	if uid == 0 || uid == j.self {
		return true
	}
	for _, named := range rule.Users {
		if uid == named {
			return true
		}
	}
	return false
}
