package trust

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// Refusal is the error about a path that somebody else could have made.
type Refusal struct {
	// Path of the folder, link or file that is at fault.
	Path string
	// Reason completes "PATH …".
	Reason string
	// Mode and Owner are those of Path, for people.
	Mode, Owner string
	// Remedy is a command or a line of the configuration that allows it.
	Remedy string
}

func (r *Refusal) Error() string {
	text := fmt.Sprintf("%s (%s, of %s) %s", r.Path, r.Mode, r.Owner, r.Reason)
	if r.Remedy != "" {
		text += ": " + r.Remedy
	}
	return text
}

func (w *way) refuse(f facts, reason, remedy string) error {
	return &Refusal{
		Path: f.path, Reason: reason, Remedy: remedy,
		Mode: modeOf(f), Owner: w.judge.users.user(f.uid) + ", " + w.judge.users.group(f.gid),
	}
}

func modeOf(f facts) string {
	switch {
	case f.is(unix.S_IFDIR):
		return fmt.Sprintf("a folder of mode %04o", f.mode&0o7777)
	case f.is(unix.S_IFLNK):
		return "a link"
	default:
		return fmt.Sprintf("mode %04o", f.mode&0o7777)
	}
}

// key is how the configuration names a user.
func (d directory) key(uid int) string {
	if name := d.listed().names[uid]; name != "" {
		return name
	}
	return fmt.Sprint(uid)
}

// quote makes a path one word of a shell.
func quote(path string) string {
	if !strings.ContainsAny(path, " \t\n'\"\\$`&;|<>()*?[]#~!") {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
