package process

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/tokenkeeper/tokenkeeper/supervisor/mounts"
	"github.com/tokenkeeper/tokenkeeper/supervisor/trust"
)

// started is what a process was started from: its program, and what that runs of its
// arguments, as the script of an interpreter, each as it stood there then. Nil is that of
// a process which was started from none. It is safe for concurrent use.
type started struct {
	by      Command
	program string
	files   map[string]fs.FileInfo
	other   *mounts.Glance[string]
	told    atomic.Bool
}

// startedFrom looks at what c is about to start, whose program is at path and, where it is
// pinned, open. This very program is not looked at: what is at its path concerns the next
// supervisor.
func (c Command) startedFrom(path string, pinned *os.File) *started {
	if path == ourselves {
		return nil
	}
	s := &started{by: c, program: path, files: map[string]fs.FileInfo{}}
	note := func(path string, info fs.FileInfo, err error) {
		if err == nil {
			s.files[path] = info
		}
	}
	if pinned != nil {
		info, err := pinned.Stat()
		note(path, info, err)
	} else {
		info, err := os.Stat(path)
		note(path, info, err)
	}
	if here, err := os.Getwd(); err == nil {
		for word, run := range trust.Operands(append([]string{path}, c.Args...), here, true) {
			for _, file := range run {
				// An interpreter that a script names is the machine's, and so is its replacement.
				if info, err := os.Stat(file); word > 0 && !strings.HasSuffix(file, "/") {
					note(file, info, err)
				}
			}
		}
	}
	s.other = mounts.NewGlance(s.look)
	return s
}

// look returns a file that is not the one any more that the process was started from; "":
// there is none. One that is missing may be on its way.
func (s *started) look() string {
	for _, path := range slices.Sorted(maps.Keys(s.files)) {
		was := s.files[path]
		is, err := os.Stat(path)
		// A script can be written in place, and may get the number of the one that was removed.
		if err == nil && (!os.SameFile(was, is) || was.Size() != is.Size() || !was.ModTime().Equal(is.ModTime())) {
			return path
		}
	}
	return ""
}

// oldProgram says which file is another one than the process was started from, and how
// that comes into use; "": none is. While its file system does not answer, it is what was
// seen last.
func (s *started) oldProgram() string {
	if s == nil {
		return ""
	}
	path := s.other.Now()
	if path == "" {
		return ""
	}
	toUse := "run: " + s.by.Kind.restart(s.by.Name)
	if path == s.program && s.by.SHA256 != "" { // a restart alone would park it
		toUse = "put its checksum into " + s.by.Kind.checksumKey(s.by.Name) + " and run: tokenkeeper reload"
	}
	return fmt.Sprintf("%s was replaced or changed since the process was started from it, which goes on as it was; to use what is there now, %s", path, toUse)
}

// OldProgram says that the process goes on with a program in whose place there is another
// one by now, and how that comes into use; "": it does not, or none runs.
func (m *Member) OldProgram() string { return m.progress.startedFrom().oldProgram() }

// Look tells that in the log, once for each process.
func (m *Member) Look() {
	from := m.progress.startedFrom()
	if text := from.oldProgram(); text != "" && !from.told.Swap(true) {
		m.cfg.Log.Warn(fmt.Sprintf("%s: %s", m, text), m.cfg.Kind.String(), m.cfg.Name)
	}
}
