// Package mounts asks whether the file system of a path answers, and waits for none
// for long: a look at a network drive whose server is gone never comes back, and can't
// be ended.
package mounts

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Remedy is what to do about a path whose file system does not answer.
const Remedy = "bring its server back, unmount it (umount -l), or name a path elsewhere"

// patience is how long is waited for a look at a path by who has a person waiting for
// him.
const patience = 5 * time.Second

// Silent is the error about a path whose file system does not answer.
type Silent struct {
	// Path is the topmost part of it that does not.
	Path string
	// Waited is for how long.
	Waited time.Duration
}

func (s *Silent) Error() string {
	return fmt.Sprintf("the file system of %s has not answered for %s (a network drive, perhaps, whose server is gone)", s.Path, s.Waited)
}

// IsSilent says whether err is about a file system that does not answer.
func IsSilent(err error) bool {
	_, is := errors.AsType[*Silent](err)
	return is
}

// Asker asks once about each path and each folder above it, and remembers the answers:
// it is for as long as a configuration is read, and not for longer. Its zero value asks
// the kernel. It is for one goroutine.
type Asker struct {
	// Patience is how long an answer may take; 0: five seconds.
	Patience time.Duration
	// Look is at a path; nil: the kernel's.
	Look func(path string)
	// Looks are shared by all who ask in a process that asks again and again; nil: by
	// nobody.
	Looks *Looks

	silent map[string]*Silent // by path; nil: it answers
}

// Ask returns a [*Silent] if the file system of path, or of a folder above it, does not
// answer, and else nil, also if nothing is there. The look that hangs is left behind:
// one at each path at most, and none below it; for who shares them see [Looks].
func (a *Asker) Ask(path string) error {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil // there is no current folder, which is told as such
	}
	if s := a.ask(absolute); s != nil {
		return s
	}
	return nil
}

// Met says whether a file system did not answer.
func (a *Asker) Met() bool {
	for _, s := range a.silent {
		if s != nil {
			return true
		}
	}
	return false
}

func (a *Asker) ask(path string) *Silent {
	if s, asked := a.silent[path]; asked {
		return s
	}
	var s *Silent
	if above := filepath.Dir(path); above != path {
		s = a.ask(above)
	}
	if s == nil {
		s = a.look(path)
	}
	if a.silent == nil {
		a.silent = map[string]*Silent{}
	}
	a.silent[path] = s
	return s
}

func (a *Asker) look(path string) *Silent {
	look, wait := a.Look, a.Patience
	if look == nil {
		look = attributes
	}
	if wait == 0 {
		wait = patience
	}
	if a.Looks == nil {
		a.Looks = &Looks{}
	}
	over, began := a.Looks.at(path, look)
	timer := time.NewTimer(wait - time.Since(began)) // once for all who ask
	defer timer.Stop()
	select {
	case <-over:
		return nil
	case <-timer.C:
		return &Silent{path, wait}
	}
}

// attributes asks the server of a network drive for them, whatever the kernel
// remembers of an earlier answer.
func attributes(path string) {
	var st unix.Statx_t
	_ = unix.Statx(unix.AT_FDCWD, path, unix.AT_STATX_FORCE_SYNC, unix.STATX_BASIC_STATS, &st)
}
