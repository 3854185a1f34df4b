package unixsocket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/supervisor/trust"
)

// dial connects to the path, where before was seen. If that was no link, it is held
// first, so that no link of a stranger can lead elsewhere meanwhile: root's other
// services would take the token, too, and pass as its receiver.
func (s *Sink) dial(ctx context.Context, before fs.FileInfo) (net.Conn, error) {
	folder, err := s.way(filepath.Dir(s.cfg.Path))
	if err != nil {
		return nil, err
	}
	path := s.cfg.Path
	if before == nil || before.Mode()&fs.ModeSymlink == 0 {
		fd, err := hold(folder, filepath.Base(path))
		if err != nil {
			return nil, err
		}
		defer func() { _ = unix.Close(fd) }()
		// proc_pid_fd(5); without /proc the kernel's word on the peer is left.
		if held := fmt.Sprintf("/proc/self/fd/%d", fd); exists(held) {
			path = held
		}
	}
	return (&net.Dialer{}).DialContext(ctx, "unix", path)
}

// hold opens what is named so in a folder to which no link leads, and is none
// itself, without opening what it stands for (O_PATH).
func hold(folder, name string) (fd int, err error) {
	at, err := unix.Openat2(unix.AT_FDCWD, folder, &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS,
	})
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) { // an old kernel, or a filter of system calls
		at, err = unix.Open(folder, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		return -1, err
	}
	defer func() { _ = unix.Close(at) }()
	if fd, err = unix.Openat(at, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0); err != nil {
		return -1, err
	}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK {
		err = fmt.Errorf("%s was replaced by a link just now", filepath.Join(folder, name))
	}
	if err != nil {
		return -1, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

// followable refuses a link of a stranger, who would choose by it which of the
// services of root and of our own user gets the token.
func (s *Sink) followable(path string, info fs.FileInfo) error {
	if info == nil || info.Mode()&fs.ModeSymlink == 0 {
		return nil
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || slices.Contains(s.cfg.AllowUIDs, int(st.Uid)) {
		return nil
	}
	judge := trust.Here()
	if grounds, err := judge.Examine(filepath.Dir(path), trust.Rule{}); err == nil && !grounds.Shared && grounds.Owner != nil && grounds.Owner.UID == int(st.Uid) {
		return nil // the owner of the folder vouches for what is in it
	}
	return judge.Link(path, info)
}

// mostLinks on the way to a folder.
const mostLinks = 40

// way is where a folder really is, if every link on the way to it can be followed.
func (s *Sink) way(folder string) (string, error) {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return "", err
	}
	at, todo := "/", split(folder)
	for links := 0; len(todo) > 0; {
		next := filepath.Join(at, todo[0])
		todo = todo[1:]
		info, err := os.Lstat(next)
		if err != nil {
			return "", err
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			at = next
			continue
		}
		if err := s.followable(next, info); err != nil {
			return "", err
		}
		target, err := os.Readlink(next)
		if err != nil {
			return "", err
		}
		if links++; links > mostLinks {
			return "", fmt.Errorf("%s: too many symbolic links", folder)
		}
		if filepath.IsAbs(target) {
			at = "/"
		}
		todo = append(split(target), todo...)
	}
	return at, nil
}

// split leaves ".." to what it leads to really.
func split(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

func exists(path string) bool { _, err := os.Lstat(path); return err == nil }
