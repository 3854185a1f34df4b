package unixsocket

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

var _ sink.Waiter = (*Sink)(nil)

// Await blocks until something stands at the socket's path that was not there
// when the last delivery found nobody. If its directory is missing too, as
// /run/bot is while the bot's service is stopped, it watches the nearest one
// that is there.
func (s *Sink) Await(ctx context.Context) error {
	if s.cfg.Path[0] == '@' {
		return errors.New("an abstract socket can't be watched")
	}
	path, err := filepath.Abs(s.cfg.Path)
	if err != nil {
		return err
	}
	came := make(chan struct{}, 1)
	f, err := s.inotify.Follow(binds, func(string) { ring(came) })
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	for {
		// Once more each time, so that it is told if it can't be followed any more. What
		// happened before is seen by looking.
		if err := f.Add(path, ""); err != nil {
			return err
		}
		if s.appeared(path) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-came:
		}
	}
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
