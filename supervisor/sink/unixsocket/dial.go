package unixsocket

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// dial connects to the path, where before was seen. If that was no link, it is held
// first, so that no link of a stranger can lead elsewhere meanwhile: root's other
// services would take the token, too, and pass as its receiver.
func (s *Sink) dial(ctx context.Context, before fs.FileInfo) (net.Conn, error) {
	path := s.cfg.Path
	if before == nil || before.Mode()&fs.ModeSymlink == 0 {
		fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, err
		}
		defer func() { _ = unix.Close(fd) }()
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			return nil, err
		}
		if st.Mode&unix.S_IFMT == unix.S_IFLNK {
			return nil, fmt.Errorf("%s was replaced by a link just now", path)
		}
		// proc_pid_fd(5); without /proc the kernel's word on the peer is left.
		if held := fmt.Sprintf("/proc/self/fd/%d", fd); exists(held) {
			path = held
		}
	}
	return (&net.Dialer{}).DialContext(ctx, "unix", path)
}

func exists(path string) bool { _, err := os.Lstat(path); return err == nil }
