package process

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/coredump"
	"github.com/tokenkeeper/tokenkeeper/sdk/crashpoint"
	"github.com/tokenkeeper/tokenkeeper/sdk/files"
)

// inherited are the variables of the supervisor that a plugin process gets.
// Its secrets may stand in the others: they come with each request instead.
var inherited = [...]string{
	"PATH", "TZ", "TMPDIR",
	"HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy",
	"SSL_CERT_FILE", "SSL_CERT_DIR",
	coredump.EnvAllow, "GODEBUG", "GOTRACEBACK", "GOGC", "GOMEMLIMIT", "GOMAXPROCS",
}

// environment of the process, without what go-plugin and child add.
func (c Command) environment() []string {
	var env []string
	for _, name := range inherited {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	if _, set := os.LookupEnv("GOMAXPROCS"); !set && c.Path == ourselves {
		// What a built-in provider does is wait for brokers and disks. Each further
		// processor costs memory, and much of it where there are many.
		env = append(env, "GOMAXPROCS=1")
	}
	if c.SpoolDir != "" {
		env = append(env, sdk.EnvSpoolDir+"="+c.SpoolDir, sdk.EnvSpoolSlots+"="+strconv.Itoa(max(c.Slots, 1)))
		if c.SpoolFallback != "" {
			env = append(env, sdk.EnvSpoolFallback+"="+c.SpoolFallback)
		}
		if seconds := int(c.HandOver.Seconds()); seconds > 0 {
			env = append(env, sdk.EnvHandOver+"="+strconv.Itoa(seconds))
		}
	}
	env = append(env, crashpoint.Environment()...)
	return append(env, c.Env...)
}

// makeSpoolDir makes the folder of the spool before the provider starts, and the
// provider's user's alone: a program in another language need not know how. A disk
// that takes nothing must not keep a provider from starting, which says so itself.
func (c Command) makeSpoolDir() {
	if c.SpoolDir == "" {
		return
	}
	_ = files.MakeDir(files.OS{}, c.SpoolDir, 0o700) // and durable: answers will stand in it
	if info, err := os.Stat(c.SpoolDir); err == nil && info.Mode().Perm()&0o077 != 0 {
		_ = os.Chmod(c.SpoolDir, info.Mode().Perm()&0o700)
	}
}

// longestSocketDir leaves room, in the 107 bytes of a socket's path
// (unix(7)), for what go-plugin puts behind it:
// /plugin-dir4294967295/plugin4294967295.
const longestSocketDir = 107 - 38

// writable says whether something can be made in dir, and leaves nothing there.
func writable(dir string) bool {
	made, err := os.MkdirTemp(dir, "")
	return err == nil && os.Remove(made) == nil
}

// staysWhere returns whether dir is still what the path names.
func staysWhere(dir string) func() bool {
	made, err := os.Stat(dir)
	return func() bool {
		now, errNow := os.Stat(dir)
		return err == nil && errNow == nil && os.SameFile(made, now)
	}
}

// socketDir makes an empty directory 0700 for the sockets of one process. The
// one of a process before it goes.
func socketDir(parent, name string) (string, error) {
	dir := filepath.Join(parent, name)
	if parent != "" && len(dir) <= longestSocketDir {
		// A disk that takes nothing must not keep a plugin from starting.
		if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o700)); err == nil && writable(dir) {
			return dir, nil
		}
	}
	if dir, ok := temporaryDir(longestSocketDir); ok {
		return dir, nil
	}
	return "", fmt.Errorf("%s: the path is too long or not writable, and so is the directory for temporary files; "+
		"choose a shorter state_dir or set TMPDIR", parent)
}

// temporaryDir makes a directory 0700 in the system's place for such things, whose path
// is no longer than that.
func temporaryDir(longest int) (dir string, ok bool) {
	// What systemd has made for the service can be written where nothing else can.
	runtime, _, _ := strings.Cut(os.Getenv("RUNTIME_DIRECTORY"), ":")
	for _, parent := range []string{runtime, os.Getenv("XDG_RUNTIME_DIR"), os.TempDir(), "/tmp"} {
		if parent == "" {
			continue
		}
		dir, err := os.MkdirTemp(parent, "tokenkeeper-")
		if err != nil {
			continue
		}
		if len(dir) <= longest {
			return dir, true
		}
		_ = os.Remove(dir)
	}
	return "", false
}
