package programs

import (
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync/atomic"
)

// Own is this program: the file that runs, and the path that it was started by, at
// which there may be another one by now. Built-in providers are started from the
// file that runs. It is safe for concurrent use.
type Own struct {
	path  string
	runs  fs.FileInfo // nil: the kernel does not tell
	other atomic.Bool // so it was at the last look
}

// OwnProgram returns what runs in this process.
func OwnProgram() *Own {
	o := &Own{}
	var err error
	if o.path, err = os.Executable(); err != nil {
		return o
	}
	if runs, err := os.Stat("/proc/self/exe"); err == nil {
		o.runs = runs
	}
	return o
}

// Path is where the next start finds the program.
func (o *Own) Path() string { return o.path }

// Replaced says whether another program is at the path than the one that runs. One
// that is missing is not called another: it may be on its way.
func (o *Own) Replaced() bool {
	if o.runs == nil {
		return false
	}
	there, err := os.Stat(o.path)
	return err == nil && !os.SameFile(o.runs, there)
}

// Look tells in the log, once, that the program was replaced.
func (o *Own) Look(log *slog.Logger) {
	if replaced := o.Replaced(); o.other.Swap(replaced) != replaced && replaced {
		log.Warn(fmt.Sprintf("%s is another program now; what runs is still the one of before, until the service is restarted", o.path))
	}
}
