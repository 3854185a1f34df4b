package unixsocket

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

var _ sink.Waiter = (*Sink)(nil)

// Await blocks until something stands at the socket's path that was not there
// when the last delivery found nobody. If its directory is missing too, as
// /run/bot is while the bot's service is stopped, it watches the nearest one
// that is there.
//
// It asks inotify itself, because libraries for it also wake up for every write
// to every file in the directory.
func (s *Sink) Await(ctx context.Context) error {
	if s.cfg.Path[0] == '@' {
		return errors.New("an abstract socket can't be watched")
	}
	path, err := filepath.Abs(s.cfg.Path)
	if err != nil {
		return err
	}
	for !s.appeared(path) {
		dir, name := nearest(path)
		// What happens before the watch stands is seen by looking.
		changed := func() bool {
			d, n := nearest(path)
			return d != dir || n != name || s.appeared(path)
		}
		if err := awaitName(ctx, dir, name, changed); err != nil {
			return fmt.Errorf("can't watch %s: %w", dir, err)
		}
	}
	return nil
}

// appeared says whether the path holds something else than what nobody
// listened on. A file system may use an inode's number again at once, so that
// the times count as well.
func (s *Sink) appeared(path string) bool {
	now, err := os.Lstat(path)
	if err != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stale == nil || !os.SameFile(s.stale, now) || !s.stale.ModTime().Equal(now.ModTime())
}

// nearest returns the deepest directory above path that exists, and the name
// in it that leads to path.
func nearest(path string) (dir, name string) {
	for {
		dir, name = filepath.Dir(path), filepath.Base(path)
		if info, err := os.Stat(dir); dir == path || err == nil && info.IsDir() {
			return dir, name
		}
		path = dir
	}
}

// awaitName blocks until name is made in dir or moved there, until dir itself
// goes away, or for no time if changed says so once the watch stands.
func awaitName(ctx context.Context, dir, name string, changed func() bool) error {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return err
	}
	events := os.NewFile(uintptr(fd), "inotify")
	defer events.Close()
	const appears, vanishes = unix.IN_CREATE | unix.IN_MOVED_TO, unix.IN_DELETE_SELF | unix.IN_MOVE_SELF
	_, err = unix.InotifyAddWatch(fd, dir, appears|vanishes|unix.IN_ONLYDIR)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return ctx.Err() // it has gone since it was looked for
	}
	if err != nil {
		return err
	}
	if changed() {
		return ctx.Err()
	}
	stop := context.AfterFunc(ctx, func() { _ = events.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	buf := make([]byte, 4096)
	for {
		n, err := events.Read(buf)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return err
		}
		for b := buf[:n]; len(b) >= unix.SizeofInotifyEvent; {
			mask, got, rest := event(b)
			if mask&appears == 0 || got == name {
				return nil
			}
			b = rest
		}
	}
}
