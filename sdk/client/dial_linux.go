package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unsafe"
)

// dial connects to whoever serves the socket at a path, if he is to be trusted.
// What is connected to is what was found, whatever becomes of the path meanwhile.
func dial(ctx context.Context, socket string, users []string) (net.Conn, error) {
	path, err := filepath.Abs(socket)
	if err != nil {
		return nil, err
	}
	held, err := reach(path, users)
	if err != nil {
		return nil, err
	}
	defer func() { _ = held.Close() }()
	real := fmt.Sprintf("/proc/self/fd/%d", held.Fd()) // proc_pid_fd(5)
	if _, err := os.Lstat(real); err != nil {          // there is no /proc here: the kernel's word on the peer is left
		real = held.Name()
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", real)
	if err != nil {
		if op, ok := errors.AsType[*net.OpError](err); ok {
			op.Addr = &net.UnixAddr{Name: path, Net: "unix"} // as who reads it knows it
		}
		return nil, err
	}
	if err := trusted(conn, socket, held.Name(), users); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// oPath of open(2), which package syscall does not have: to name a file without
// opening it.
const oPath = 0x200000

// mostLinks on one way, as the kernel has it (path_resolution(7)).
const mostLinks = 40

// reach names what lies at an absolute path. It follows the links of root, of
// ourselves and of users alone: whoever made another one says where it leads.
func reach(path string, users []string) (*os.File, error) {
	at, err := step(nil, "/")
	for todo, links := split(path), 0; err == nil && len(todo) > 0; {
		var next *os.File
		if next, err = step(at, todo[0]); err != nil {
			break
		}
		todo = todo[1:]
		var target string
		if target, err = follow(next, users); err == nil && target == "" {
			_ = at.Close()
			at = next
			continue
		}
		_ = next.Close()
		if links++; err == nil && links > mostLinks {
			err = syscall.ELOOP
		}
		if err == nil && filepath.IsAbs(target) {
			_ = at.Close()
			at, err = step(nil, "/")
		}
		todo = append(split(target), todo...)
	}
	if err != nil {
		_ = at.Close()
		return nil, err
	}
	return at, nil
}

// step goes from a folder to what is in it; nil: to a path.
func step(folder *os.File, name string) (*os.File, error) {
	at, path := -1, name
	if folder != nil {
		at, path = int(folder.Fd()), filepath.Join(folder.Name(), name)
	}
	fd, err := syscall.Openat(at, name, oPath|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "find", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// follow says where a link leads; "": it is none.
func follow(entry *os.File, users []string) (target string, err error) {
	info, err := entry.Stat()
	if err != nil || info.Mode()&os.ModeSymlink == 0 {
		return "", err
	}
	if uid := int(info.Sys().(*syscall.Stat_t).Uid); uid != 0 && uid != os.Geteuid() && !isOneOf(users, uid) {
		return "", fmt.Errorf("%w: %s is a link of user %d, who could make it lead elsewhere: give the path that it leads to (realpath shows it)", ErrStranger, entry.Name(), uid)
	}
	empty, buf := [1]byte{}, make([]byte, 4096)
	n, _, e := syscall.Syscall6(syscall.SYS_READLINKAT, entry.Fd(), uintptr(unsafe.Pointer(&empty[0])), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0, 0)
	if e != 0 {
		return "", e
	}
	return string(buf[:n]), nil
}

// split leaves ".." to the kernel: after a link it is not what the text says.
func split(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}
