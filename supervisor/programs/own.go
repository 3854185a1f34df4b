package programs

import (
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync/atomic"

	"github.com/tokenkeeper/tokenkeeper/supervisor/mounts"
)

// Own is this program: the file that runs, and the path that it was started by, at
// which there may be another one by now. Built-in providers are started from the
// file that runs. It is safe for concurrent use.
type Own struct {
	path  string
	runs  fs.FileInfo // nil: the kernel does not tell
	other *mounts.Glance[bool]
	told  atomic.Bool
}

// OwnProgram returns what runs in this process.
func OwnProgram() *Own {
	path, err := os.Executable()
	if err != nil {
		return newOwn("", nil)
	}
	runs, err := os.Stat("/proc/self/exe")
	if err != nil {
		runs = nil
	}
	return newOwn(path, runs)
}

func newOwn(path string, runs fs.FileInfo) *Own {
	o := &Own{path: path, runs: runs}
	o.other = mounts.NewGlance(func() bool {
		there, err := os.Stat(o.path)
		return err == nil && !os.SameFile(o.runs, there)
	})
	return o
}

// Path is where the next start finds the program.
func (o *Own) Path() string { return o.path }

// Replaced says whether another program is at the path than the one that runs. One
// that is missing is not called another: it may be on its way. While the file system of
// the path does not answer, it is what was seen last.
func (o *Own) Replaced() bool { return o.runs != nil && o.other.Now() }

// Look tells in the log, once, that the program was replaced.
func (o *Own) Look(log *slog.Logger) {
	if replaced := o.Replaced(); o.told.Swap(replaced) != replaced && replaced {
		log.Warn(fmt.Sprintf("%s is another program now; what runs is still the one of before, until the service is restarted", o.path))
	}
}
