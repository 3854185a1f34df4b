package localsocket

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync"
)

// Socket is a listener on a Unix socket, and what stood at its path when it was
// opened.
type Socket struct {
	*net.UnixListener
	path  string
	bound fs.FileInfo
	once  sync.Once
	err   error
}

func newSocket(ln *net.UnixListener, path string) (*Socket, error) {
	// Closing must not remove what somebody else has put there.
	ln.SetUnlinkOnClose(false)
	bound, err := os.Lstat(path)
	if err != nil {
		_ = ln.Close()
		return nil, fmt.Errorf("%s was removed just when it was opened: %w", path, err)
	}
	return &Socket{UnixListener: ln, path: path, bound: bound}, nil
}

// Stands says whether the socket is still at its path. A file system may use an
// inode's number again at once, so that the times count as well.
func (s *Socket) Stands() bool {
	now, err := os.Lstat(s.path)
	return err == nil && os.SameFile(s.bound, now) && s.bound.ModTime().Equal(now.ModTime())
}

// Close closes the socket and removes it from its path, if it is still there.
func (s *Socket) Close() error {
	s.once.Do(func() {
		if s.Stands() {
			_ = os.Remove(s.path)
		}
		s.err = s.UnixListener.Close()
	})
	return s.err
}
