package config

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
)

// sharedFileOf begins what messages call a shared file.
const sharedFileOf = "the shared file of account"

func isSharedFile(called string) bool { return strings.HasPrefix(called, sharedFileOf) }

// sharedFile is nil if nothing was written about one.
func sharedFile(o Object) *SharedFile {
	written := false
	for key := range o.fields {
		written = written || o.Given(key)
	}
	if !written {
		return nil
	}
	s := &SharedFile{
		Path: o.Path("path"), Lock: o.Path("lock"), Format: o.Word("format"),
		Timezone: o.Word("timezone"), UnsafeFilesystem: o.Boolean("unsafe_filesystem"),
		TrustFolder: o.Boolean("trust_folder"),
	}
	if s.Lock == "" && s.Path != "" {
		s.Lock = s.Path + ".lock"
	}
	return s
}

func validateSharedFile(o Object, s *SharedFile) {
	if !o.Given("path") {
		o.Report(o.At("path"), "the shared file has no path", "write path: /var/lib/bots/token.json")
	}
	if !o.Given("format") {
		o.Report(o.At("format"), "the shared file has no format", "write format: saxo-cache, or whichever its programs use")
	} else {
		Choice(o, "format", formats()...)
	}
	Zone(o, "timezone", s.Timezone)
	if s.Path == "" {
		return
	}
	if !o.l.answers(s.Path) || !o.l.answers(s.Lock) {
		return // told when the key was read
	}
	if o.l.folders.canonical(s.Lock) == o.l.folders.canonical(s.Path) {
		o.Report(o.At("lock"), "the file can't be its own lock, because it is replaced at each write",
			"name the file that the other programs lock, or remove the line")
	}
	switch info, err := os.Lstat(s.Path); {
	case err != nil: // it may come later
	case info.Mode()&fs.ModeSymlink != 0:
		o.Report(o.At("path"), "is a symbolic link, which a write would replace",
			"write the path of the file that it names, and lock: the file that the other programs lock")
	case !info.Mode().IsRegular():
		o.Report(o.At("path"), "is "+files.Kind(info.Mode()), "move it away, or choose another path")
	case info.Mode().Perm()&0o004 != 0 && !o.l.references.told[s.Path]:
		o.Warn(o.At("path"), fmt.Sprintf("everyone on this machine can read the refresh token (mode %#o), and this mode is kept", info.Mode().Perm()),
			"chmod 600 it, or 660 with a group of the programs that use it")
	}
	for _, key := range []string{"path", "lock"} {
		dir := filepath.Dir(map[string]string{"path": s.Path, "lock": s.Lock}[key])
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			// Not an error: a service may make it before it starts, or the
			// configuration may be checked on another machine.
			o.Warn(o.At(key), "there is no directory "+dir+" here", "create it before the supervisor starts")
			return
		}
	}
}

// validateSharedPaths reports files that two things would write, and adds the
// shared files and their locks to taken. Several shared files may have one
// lock.
func (l *loader) validateSharedPaths(cfg *Config, taken map[string]string) {
	accounts := l.root.Down("accounts")
	each := func(check func(o Object, name string, s *SharedFile)) {
		for _, name := range l.accounts {
			if s := cfg.Accounts[name].SharedFile; s != nil && s.Path != "" {
				check(accounts.Down(name).Down("shared_file"), name, s)
			}
		}
	}
	each(func(o Object, name string, s *SharedFile) {
		path := o.l.folders.canonical(s.Path)
		if by, ok := taken[path]; ok {
			o.Report(o.At("path"), "the file is "+by+" too", "choose another path; a grant has one account")
			return
		}
		taken[path] = fmt.Sprintf("%s %q%s", sharedFileOf, name, o.At("path").InLine())
	})
	locks := map[string]string{}
	each(func(o Object, name string, s *SharedFile) {
		lock := o.l.folders.canonical(s.Lock)
		if by, ok := taken[lock]; ok && lock != o.l.folders.canonical(s.Path) {
			o.Report(o.At("lock"), "the lock is "+by+" too", "choose another file, the one that the other programs lock")
			return
		}
		if locks[lock] != "" {
			return
		}
		locks[lock] = fmt.Sprintf("the lock of the shared file of account %q%s", name, o.At("lock").InLine())
	})
	for lock, what := range locks {
		if taken[lock] == "" {
			taken[lock] = what
		}
	}
}
