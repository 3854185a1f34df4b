package sdk

import (
	"os"
	"path/filepath"
	"strconv"
)

// takeName gives the process its own name again, where the kernel took that of a
// descriptor through which it was executed (execve(2), proc_pid_comm(5)): who
// holds a lock or much memory should be known by it. What can't be changed
// stays.
func takeName() {
	const comm = "/proc/self/comm"
	name, err := os.ReadFile(comm)
	if err != nil || len(name) < 2 {
		return
	}
	if _, err := strconv.Atoi(string(name[:len(name)-1])); err == nil {
		_ = os.WriteFile(comm, []byte(filepath.Base(os.Args[0])), 0)
	}
}
