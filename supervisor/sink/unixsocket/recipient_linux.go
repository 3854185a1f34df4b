package unixsocket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

var (
	_ sink.Recipient = (*Sink)(nil)
	_ sink.Watcher   = (*Sink)(nil)
	_ sink.Watcher   = (*Listener)(nil)
)

// Recipient implements [sink.Recipient]: a consumer that starts anew binds a new
// socket. Its name is the file's device and inode, whose number may be used again
// at once, and so the time at which the socket was bound: that of the last
// modification, which only utimensat(2) changes later, while a consumer that sets
// the mode or the owner of its socket changes st_ctim.
func (s *Sink) Recipient(context.Context) (name string, err error) {
	if s.cfg.Path[0] == '@' {
		return "", nil
	}
	info, err := os.Stat(s.cfg.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || info.Mode().Type() != fs.ModeSocket {
		return "", nil
	}
	return fmt.Sprintf("socket %x-%x-%x", st.Dev, st.Ino, info.ModTime().UnixNano()), nil
}

// binds is what happens in a folder where a socket comes.
const binds = unix.IN_CREATE | unix.IN_MOVED_TO

// Watch implements [sink.Watcher]: there is news when a socket is bound at the path,
// or moved there.
func (s *Sink) Watch(ctx context.Context, news func(account string)) error {
	if s.cfg.Path[0] == '@' {
		return errors.New("an abstract socket can't be watched")
	}
	path, err := filepath.Abs(s.cfg.Path)
	if err != nil {
		return err
	}
	f, err := s.inotify.Follow(binds, news)
	if err != nil {
		return err
	}
	if err := f.Add(path, ""); err != nil {
		_ = f.Close()
		return err
	}
	context.AfterFunc(ctx, func() { _ = f.Close() })
	return nil
}

// Watch implements [sink.Watcher]: there is news when a consumer has connected and
// has what is newest, so that nothing waits for one that did not read.
func (l *Listener) Watch(ctx context.Context, news func(account string)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.news = &news
	context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.news == &news {
			l.news = nil
		}
	})
	return nil
}

// greeted tells that a consumer has what is newest.
func (l *Listener) greeted() {
	l.mu.Lock()
	news := l.news
	l.mu.Unlock()
	if news != nil {
		(*news)("")
	}
}
