package store

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// holder names the process that holds the file lock on path, as /proc/locks
// tells it.
func holder(path string) string {
	const unseen = "another process (its PID is not visible from here)"
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return unseen
	}
	f, err := os.Open("/proc/locks")
	if err != nil {
		return unseen
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if pid, ok := lockHolder(lines.Text(), st.Ino); ok {
			return describe(pid)
		}
	}
	return unseen
}

// lockHolder reads one line of /proc/locks (proc_locks(5)):
//
//	4: FLOCK  ADVISORY  WRITE 2359 08:01:1836031 0 EOF
//
// A line with "->" is a process that waits. The inode alone is compared: some
// file systems show another device there than stat does. PID 0 or -1 belongs
// to another PID namespace.
func lockHolder(line string, inode uint64) (pid int, ok bool) {
	f := strings.Fields(line)
	if len(f) < 6 || f[1] != "FLOCK" || f[3] != "WRITE" {
		return 0, false
	}
	place := strings.Split(f[5], ":")
	if place[len(place)-1] != strconv.FormatUint(inode, 10) {
		return 0, false
	}
	pid, err := strconv.Atoi(f[4])
	return pid, err == nil && pid > 0
}

func describe(pid int) string {
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return fmt.Sprintf("process %d", pid)
	}
	return fmt.Sprintf("process %d (%s)", pid, strings.TrimSpace(string(name)))
}
