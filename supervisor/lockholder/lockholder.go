// Package lockholder finds out who holds a file's flock.
package lockholder

import (
	"os"

	"golang.org/x/sys/unix"
)

// Holders is who holds a lock, as far as it can be told from here. The zero
// value: it is held, and nobody can be named.
type Holders struct {
	// Holding are the processes that hold it. More than one share it: a child
	// inherits the locks of its parent with the descriptors, and the lock is
	// free when the last of them has gone.
	Holding []Process
	// Open are those that have the file open, where the kernel does not tell
	// which descriptor carries a lock. Some of them may only wait.
	Open []Process
	// Hidden: there are processes that we may not look into, another user's.
	Hidden bool
}

// Find returns who holds the flock on the file at path. It may also be nobody:
// that looks the same as somebody in another container.
func Find(path string) Holders {
	return search{proc: "/proc", self: os.Getpid(), tells: tellsLocks}.find(path)
}

// First is the process to name if only one can be, and zero if none can.
func (h Holders) First() Process {
	if len(h.Holding) == 0 {
		return Process{}
	}
	return h.Holding[0]
}

// search is one look through the processes.
type search struct {
	// proc is the file system that tells of them (proc(5)).
	proc string
	// self waits for the lock, and so has the file open.
	self int
	// tells says whether the kernel tells which descriptor carries a lock.
	tells func() bool
}

// find asks two witnesses. The kernel's list of locks says who took one; but in
// a PID namespace it leaves out those whose taker has gone, and in the first
// one it may name a process that only has the same PID since. What a descriptor
// carries is certain, whoever took it, and stands in its fdinfo
// (proc_pid_fdinfo(5)); but not every process may be looked into.
func (s search) find(path string) Holders {
	var file unix.Statx_t
	if !stat(path, &file) {
		return Holders{}
	}
	taker := s.taker(file.Ino)
	if has, _ := s.carries(taker, file); has {
		return Holders{Holding: []Process{s.describe(taker)}}
	}
	h := Holders{}
	for _, pid := range s.pids() {
		switch has, err := s.carries(pid, file); {
		case os.IsPermission(err):
			h.Hidden = true
		case has:
			h.Holding = append(h.Holding, s.describe(pid))
		}
	}
	if len(h.Holding) > 0 {
		return h
	}
	if p := s.describe(taker); p.Program != "" && s.concealed(taker) {
		h.Holding = []Process{p}
	} else if !s.tells() {
		h.Open = s.openers(file)
	}
	return h
}

// concealed says whether the process may not be looked into.
func (s search) concealed(pid int) bool {
	_, err := s.opened(pid, unix.Statx_t{}, nil)
	return os.IsPermission(err)
}

// openers returns who else has the file open.
func (s search) openers(file unix.Statx_t) (open []Process) {
	for _, pid := range s.pids() {
		if pid == s.self {
			continue
		}
		if has, _ := s.opened(pid, file, nil); has {
			open = append(open, s.describe(pid))
		}
	}
	return open
}

// stat identifies a file without asking a server for it, which may hang.
func stat(path string, st *unix.Statx_t) bool {
	return unix.Statx(unix.AT_FDCWD, path, unix.AT_STATX_DONT_SYNC|unix.AT_NO_AUTOMOUNT, unix.STATX_INO, st) == nil
}

func same(a, b unix.Statx_t) bool {
	return a.Ino == b.Ino && a.Dev_major == b.Dev_major && a.Dev_minor == b.Dev_minor
}
