package main

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// stacksFile is the file in the state directory that takes what the runtime prints
// when it ends this process: at a panic, or the SIGABRT of a service manager's
// watchdog. It is empty otherwise.
const stacksFile = "stacks"

// keepStacks has that written to the file, beside standard error, where a journal may
// drop the better part of thousands of lines; and tells of what the run before has
// left there. To be without it keeps nobody from starting.
func keepStacks(stateDir string, log *slog.Logger) {
	path := filepath.Join(stateDir, stacksFile)
	if err := openStacks(path, log); err != nil {
		log.Warn("where each goroutine was can't be kept in a file, should this process be ended by a fault or by a watchdog", "path", path, "error", err)
	}
}

func openStacks(path string, log *slog.Logger) error {
	if info, err := os.Lstat(path); err == nil && info.Size() > 0 {
		before := path + ".before"
		if err := os.Rename(path, before); err != nil {
			return err
		}
		log.Warn("the run before was ended by a fault of its own or by a watchdog; where each goroutine was then is in a file: please report it",
			"path", before, "ended", info.ModTime())
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(debug.SetCrashOutput(f, debug.CrashOptions{}), f.Close())
}
