package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/lockholder"
)

const (
	// lookAtHolder is how often the holder of a spool is looked for.
	lookAtHolder = time.Second
	// lastWord is how long a holder has, after it was told to continue for the
	// last time.
	lastWord = 2 * time.Second
)

// Predecessor is the process of an earlier supervisor that may still hold a
// provider's spool, because it hears an answer out, or because it hangs.
type Predecessor struct {
	// Name of the provider.
	Name string
	// SpoolDir and SpoolFallback are as in [Command].
	SpoolDir, SpoolFallback string
	// Programs are the names that such a process may have.
	Programs []string
	Log      *slog.Logger
}

// Outwait sees to it that the spool is free after patience, which is the caller's to
// measure (package refresh does it by what an attempt may take): until then the
// holder may finish, and is told to continue in case that it was stopped; then
// it is killed. It is for the time in which the next process waits for the
// spool, and returns when ctx ends.
//
// Whoever holds the lock is killed only if it was started as a process with
// this very spool, and not by us; if that can't be told, it must at least be our
// user's and have a provider's name. Anybody else is named in the log.
func (p Predecessor) Outwait(ctx context.Context, patience time.Duration) {
	late := time.After(patience)
	look := time.NewTicker(lookAtHolder)
	defer look.Stop()
	told := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
			if holders := p.holders(); len(holders) > 0 && !told {
				told = true
				p.Log.Warn("a process of an earlier start still holds the spool; it may be hearing an answer out, and is waited for",
					"provider", p.Name, "holder", holders[0].String(), "at_most", patience.Round(time.Second))
			}
			p.each(unix.SIGCONT)
		case <-late:
			p.each(unix.SIGCONT)
			select {
			case <-ctx.Done():
				return
			case <-time.After(lastWord):
			}
			killed := p.each(unix.SIGKILL)
			if len(killed) == 0 {
				p.leave()
			}
			for _, killed := range killed {
				p.Log.Error("a process of an earlier start hung with the spool, and was killed; an attempt that it had sent has no answer",
					"provider", p.Name, "holder", killed.String())
			}
			late = time.After(patience) // one more may have waited before us
		}
	}
}

// leave says who holds the spool and is not killed, because it may be a
// stranger's.
func (p Predecessor) leave() {
	for _, dir := range []string{p.SpoolDir, p.SpoolFallback} {
		by := lockholder.Find(filepath.Join(dir, "lock"))
		if dir == "" || len(by.Holding) > 0 && parentOf(by.First().PID) == os.Getpid() || len(by.Holding) == 0 && !by.Hidden {
			continue // it is ours by now, or free
		}
		p.Log.Error("the spool is held by a process that is not known to be a provider of an earlier start, and so is not killed; "+
			"the provider can't serve before you have ended it", "provider", p.Name, "spool", dir, "holder", by.String())
	}
}

// each sends sig to every holder that is a predecessor, and returns them.
func (p Predecessor) each(sig unix.Signal) (reached []lockholder.Process) {
	for _, holder := range p.holders() {
		if p.signal(holder, sig) {
			reached = append(reached, holder)
		}
	}
	return reached
}

// holders are the processes that hold the lock of the spool, whoever they are.
func (p Predecessor) holders() (all []lockholder.Process) {
	for _, dir := range []string{p.SpoolDir, p.SpoolFallback} {
		if dir != "" {
			all = append(all, lockholder.Find(filepath.Join(dir, "lock")).Holding...)
		}
	}
	return all
}

// signal takes hold of the process first and makes sure then that it is the one
// that holds the lock, so that its number can't come to mean another.
func (p Predecessor) signal(holder lockholder.Process, sig unix.Signal) bool {
	fd, err := unix.PidfdOpen(holder.PID, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	for _, now := range p.holders() {
		if now == holder && holder.Start != "" && p.isPredecessor(holder) {
			return unix.PidfdSendSignal(fd, sig, nil, 0) == nil
		}
	}
	return false
}

// isPredecessor says whether the process was started as a provider with this
// spool, and not by us: ours is the one that waits, or that has the spool by
// now.
func (p Predecessor) isPredecessor(holder lockholder.Process) bool {
	pid := holder.PID
	if pid == os.Getpid() || parentOf(pid) == os.Getpid() {
		return false
	}
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if errors.Is(err, fs.ErrPermission) {
		// A plugin lets nobody look into it, its own user neither (see
		// [coredump.Forbid]), but for its name.
		return userOf(pid) == os.Geteuid() && p.isNamed(holder.Program)
	}
	if err != nil {
		return false
	}
	for variable := range bytes.SplitSeq(environ, []byte{0}) {
		if dir, ok := bytes.CutPrefix(variable, []byte(sdk.EnvSpoolDir+"=")); ok && sameDir(string(dir), p.SpoolDir) {
			return true
		}
	}
	return false
}

// longestName is how much of a program's name the kernel keeps.
const longestName = 15

// isNamed says whether a program's name, as the kernel knows it, is one that a
// predecessor may have.
func (p Predecessor) isNamed(program string) bool {
	for _, name := range p.Programs {
		if program != "" && program == name[:min(len(name), longestName)] {
			return true
		}
	}
	return false
}

func sameDir(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// userOf returns the process's effective user (proc_pid_status(5)); -1 if it
// can't be told. The owner of its folder in /proc is root's if it lets nobody
// look into it.
func userOf(pid int) int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return -1
	}
	for line := range bytes.Lines(status) {
		if ids, ok := bytes.CutPrefix(line, []byte("Uid:")); ok {
			if f := bytes.Fields(ids); len(f) > 1 {
				if uid, err := strconv.Atoi(string(f[1])); err == nil {
					return uid
				}
			}
		}
	}
	return -1
}

// parentOf returns the number of the process's parent (proc_pid_stat(5)); 0 if
// it can't be told.
func parentOf(pid int) int {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]) // the name before it may hold anything
	if len(fields) < 2 {
		return 0
	}
	parent, _ := strconv.Atoi(string(fields[1]))
	return parent
}
