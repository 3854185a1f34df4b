package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

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
		newest, first, err := setStacksAside(path, info)
		if err != nil {
			return err
		}
		log.Warn("the run before was ended by a fault of its own or by a watchdog; where each goroutine was then is in a file: please report it",
			"path", newest, "ended", info.ModTime(), "first", first)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(debug.SetCrashOutput(f, debug.CrashOptions{}), f.Close())
}

const (
	// mostStacks are kept of the newest, beside the first of a row of crashes, which
	// tells most: what follows may be of what the first has left behind.
	mostStacks = 3
	// calm is how long no crash has been, so that the next is the first of a row.
	calm = 24 * time.Hour
)

// setStacksAside puts the file at path among those of earlier runs, and returns where
// it is now, and the first of the row that it belongs to.
func setStacksAside(path string, info fs.FileInfo) (newest, first string, err error) {
	newest, first = path+".before", path+".first"
	before, err := os.Lstat(newest)
	begins := err != nil || info.ModTime().Sub(before.ModTime()) > calm
	older := func(n int) string { return fmt.Sprintf("%s.%d", newest, n) }
	for n := mostStacks; n > 2; n-- {
		_ = os.Rename(older(n-1), older(n)) // that one is missing keeps nobody from the others
	}
	_ = os.Rename(newest, older(2))
	if err := os.Rename(path, newest); err != nil {
		return "", "", err
	}
	if begins {
		_ = os.Remove(first)
		if err := os.Link(newest, first); err != nil { // some file systems have no such links
			first = newest
		}
	}
	return newest, first, nil
}
