package coredump

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// forbid does both: where cores go to a program (core(5), a pipe in
// core_pattern), the limit is not asked; and a debugger asks for no core.
func forbid() error {
	var limit syscall.Rlimit
	err := syscall.Getrlimit(unix.RLIMIT_CORE, &limit)
	if err == nil {
		limit.Cur = 0
		err = syscall.Setrlimit(unix.RLIMIT_CORE, &limit)
	}
	if err = errors.Join(err, unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)); err != nil {
		return fmt.Errorf("core files and debuggers can't be kept from this process's memory: %w", err)
	}
	return nil
}
