// Package usertest does what another user of the machine would do, for tests
// of who is trusted. Only root can act for others: its functions skip the test
// for everybody else.
package usertest

import (
	"errors"
	"net"
	"os"
	"runtime"
	"syscall"
	"testing"
	"unsafe"
)

// Stranger is a user who runs nothing of ours and has no name.
const Stranger = 34567

// NeedsRoot skips a test that nobody but root can make.
func NeedsRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can act for another user")
	}
}

// As does something on a thread that is another user's, and returns at once. do
// makes system calls alone: goroutines that it starts are on other threads.
func As(t *testing.T, uid int, do func()) {
	t.Helper()
	NeedsRoot(t)
	become := make(chan error)
	go func() {
		runtime.LockOSThread() // the thread ends with the goroutine
		_, _, e := syscall.RawSyscall(syscall.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid))
		if e != 0 {
			become <- e
			return
		}
		become <- nil
		do()
	}()
	if err := <-become; err != nil {
		t.Fatal(err)
	}
}

// socketAs has a thread become somebody else, and opens a socket as him.
func socketAs(t *testing.T, name string, become func() error, use func(fd int) error) *os.File {
	t.Helper()
	NeedsRoot(t)
	type opened struct {
		fd  int
		err error
	}
	got := make(chan opened)
	go func() {
		runtime.LockOSThread() // the thread ends with the goroutine
		if err := become(); err != nil {
			got <- opened{err: err}
			return
		}
		fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		got <- opened{fd, errors.Join(err, use(fd))}
	}()
	o := <-got
	if o.err != nil {
		t.Fatal(o.err)
	}
	return os.NewFile(uintptr(o.fd), name)
}

// raw is a system call of this thread alone.
func raw(trap, a1, a2, a3 uintptr) error {
	if _, _, e := syscall.RawSyscall(trap, a1, a2, a3); e != 0 {
		return e
	}
	return nil
}

// Listen opens a Unix socket as another user does: the kernel keeps who called
// listen(2), and tells whoever connects.
func Listen(t *testing.T, path string, uid int) net.Listener {
	t.Helper()
	file := socketAs(t, path, func() error {
		return raw(syscall.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0))
	}, func(fd int) error {
		return errors.Join(syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}), syscall.Listen(fd, 8))
	})
	l, err := net.FileListener(file)
	if err = errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// Dial connects to a Unix socket as another user does, who is in the groups: the kernel
// keeps who called connect(2), and tells whoever serves. His own group has the number of
// the first, or else his.
func Dial(t *testing.T, path string, uid int, groups ...int) net.Conn {
	t.Helper()
	own := uid
	all := make([]uint32, len(groups)+1) // one more, so that there is a first to point to
	for i, g := range groups {
		own, all[i] = groups[0], uint32(g)
	}
	file := socketAs(t, path, func() error {
		_, _, e := syscall.RawSyscall(syscall.SYS_SETGROUPS, uintptr(len(groups)), uintptr(unsafe.Pointer(&all[0])), 0)
		if e != 0 {
			return e
		}
		return errors.Join(
			raw(syscall.SYS_SETRESGID, ^uintptr(0), uintptr(own), ^uintptr(0)),
			raw(syscall.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0)),
		)
	}, func(fd int) error { return syscall.Connect(fd, &syscall.SockaddrUnix{Name: path}) })
	conn, err := net.FileConn(file)
	if err = errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}
