package lockholder

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/supervisor/trust"
)

// Process is one that holds a lock.
type Process struct {
	// PID as it is seen from here.
	PID int
	// Program is its name as the kernel knows it, at most 15 bytes; "" if it
	// has gone.
	Program string
	// User whose it is, for people; "": ours, or nobody knows.
	User string
	// Start tells it from another process that has the same PID later: its
	// start in clock ticks since the machine's (proc_pid_stat(5)); "" if
	// unknown.
	Start string
}

// flock says whether a line tells of a lock that keeps others from locking,
// and of which file and process (proc_locks(5)):
//
//	4: FLOCK  ADVISORY  WRITE 2359 08:01:1836031 0 EOF
//
// One with "->" is a process that waits. pid is 0 if the one that took the lock
// has gone and we are in a PID namespace.
func flock(line string) (pid int, inode string, ok bool) {
	f := strings.Fields(strings.TrimPrefix(line, "lock:"))
	if len(f) < 6 || f[1] != "FLOCK" {
		return 0, "", false
	}
	pid, err := strconv.Atoi(f[4])
	return pid, f[5][strings.LastIndexByte(f[5], ':')+1:], err == nil
}

// taker returns who took the lock on inode, out of the kernel's list; 0 for
// nobody. The inode alone is compared: some file systems show another device
// there than stat does.
func (s search) taker(inode uint64) int {
	locks, _ := os.ReadFile(filepath.Join(s.proc, "locks"))
	for line := range strings.Lines(string(locks)) {
		if pid, of, ok := flock(line); ok && pid > 0 && of == strconv.FormatUint(inode, 10) {
			return pid
		}
	}
	return 0
}

// carries says whether a descriptor of the process carries the lock on file.
func (s search) carries(pid int, file unix.Statx_t) (bool, error) {
	return s.opened(pid, file, func(info []byte) bool {
		if !bytes.Contains(info, []byte("lock:")) {
			return false
		}
		for line := range strings.Lines(string(info)) {
			if _, _, ok := flock(line); ok && strings.HasPrefix(line, "lock:") {
				return true
			}
		}
		return false
	})
}

// opened says whether the process has file open with a descriptor whose
// fdinfo is as wanted; nil: any. The error tells that it may not be looked
// into, or has gone.
func (s search) opened(pid int, file unix.Statx_t, wanted func(info []byte) bool) (bool, error) {
	dir := filepath.Join(s.proc, strconv.Itoa(pid))
	fds, err := os.ReadDir(filepath.Join(dir, "fd"))
	if err != nil {
		return false, err
	}
	for _, fd := range fds {
		if wanted != nil {
			info, err := os.ReadFile(filepath.Join(dir, "fdinfo", fd.Name()))
			if os.IsPermission(err) {
				return false, err
			}
			if err != nil || !wanted(info) {
				continue
			}
		}
		var st unix.Statx_t
		if stat(filepath.Join(dir, "fd", fd.Name()), &st) && same(st, file) {
			return true, nil
		}
	}
	return false, nil
}

// pids returns every process that is seen from here, the oldest numbers first.
func (s search) pids() (pids []int) {
	dirs, _ := filepath.Glob(filepath.Join(s.proc, "[0-9]*"))
	for _, dir := range dirs {
		if pid, err := strconv.Atoi(filepath.Base(dir)); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

func (s search) describe(pid int) Process {
	p := Process{PID: pid, User: s.user(pid)}
	stat, err := os.ReadFile(filepath.Join(s.proc, strconv.Itoa(pid), "stat"))
	if err != nil {
		return p
	}
	// pid (name) state …: the name may hold anything, parentheses too.
	open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if open < 0 || end < open {
		return p
	}
	p.Program = printable(string(stat[open+1 : end]))
	if f := strings.Fields(string(stat[end+1:])); len(f) > 19 {
		p.Start = f[19] // field 22; the name was field 2
	}
	return p
}

// user names the real user of a process, if it is another one than ours
// (proc_pid_status(5)). Who owns its folder in /proc is not asked: that is root
// if it can't be dumped.
func (s search) user(pid int) string {
	status, _ := os.ReadFile(filepath.Join(s.proc, strconv.Itoa(pid), "status"))
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "Uid:" {
			if uid, err := strconv.Atoi(f[1]); err == nil && uid != os.Getuid() {
				return trust.Here().User(uid)
			}
		}
	}
	return ""
}

// printable takes out of a name what could upset a log or a terminal: every
// process chooses its own.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// tellsLocks says whether the kernel tells which descriptor carries a lock:
// Linux does since 4.1, some that stand in for it do not.
func tellsLocks() bool {
	fd, err := unix.MemfdCreate("lock", unix.MFD_CLOEXEC)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(fd) }()
	if unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) != nil {
		return false
	}
	info, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", fd))
	return err == nil && bytes.Contains(info, []byte("lock:"))
}
