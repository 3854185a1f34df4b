// Package lockholder finds out which process holds a file's flock.
package lockholder

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Process is one that holds a lock.
type Process struct {
	// PID as it is seen from here.
	PID int
	// Program is its name as the kernel knows it, at most 15 bytes; "" if it
	// has gone.
	Program string
	// Start tells it from another process that has the same PID later: its
	// start in clock ticks since the machine's (proc_pid_stat(5)); "" if
	// unknown.
	Start string
}

// Find returns the process that holds the exclusive flock on the file at
// path. ok is false if nobody does, or nobody who can be seen from here: the
// holder may be in another container or, on a network file system, on another
// machine.
func Find(path string) (p Process, ok bool) {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return Process{}, false
	}
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		return Process{}, false
	}
	pid := locker(locks, st.Ino)
	if pid == 0 {
		return Process{}, false
	}
	p = describe(pid)
	if p.Program == "" { // it left the lock to a child
		if heir := inheritor(st.Ino); heir != 0 {
			p = describe(heir)
		}
	}
	return p, true
}

// locker returns who took the lock on inode, 0 for nobody, out of lines like
// (proc_locks(5))
//
//	4: FLOCK  ADVISORY  WRITE 2359 08:01:1836031 0 EOF
//
// One with "->" is a process that waits. The inode alone is compared: some
// file systems show another device there than stat does.
func locker(lines []byte, inode uint64) int {
	for line := range bytes.Lines(lines) {
		f := strings.Fields(strings.TrimPrefix(string(line), "lock:"))
		if len(f) < 6 || f[1] != "FLOCK" || f[3] != "WRITE" {
			continue
		}
		place := strings.Split(f[5], ":")
		if place[len(place)-1] != strconv.FormatUint(inode, 10) {
			continue
		}
		if pid, err := strconv.Atoi(f[4]); err == nil && pid > 0 {
			return pid
		}
	}
	return 0
}

// inheritor returns a process that has the locked file open though another one
// locked it, as a child does after its parent's death; 0 for none. fdinfo
// shows a lock with every descriptor that carries it (proc_pid_fdinfo(5)).
func inheritor(inode uint64) int {
	infos, _ := filepath.Glob("/proc/[0-9]*/fdinfo/*")
	for _, info := range infos {
		b, err := os.ReadFile(info)
		if err != nil || !bytes.Contains(b, []byte("lock:")) || locker(b, inode) == 0 {
			continue
		}
		if pid, err := strconv.Atoi(strings.Split(info, "/")[2]); err == nil {
			return pid
		}
	}
	return 0
}

func describe(pid int) Process {
	p := Process{PID: pid}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
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
