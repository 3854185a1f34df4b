package file

import (
	"context"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Watch implements [sink.Watcher]: there is news of an account whose file is
// written, removed, moved or replaced, ours too, from the first time on at which it
// is delivered or looked at.
func (s *Sink) Watch(ctx context.Context, news func(account string)) error {
	f, err := s.inotify.Follow(unix.IN_CLOSE_WRITE|unix.IN_DELETE|unix.IN_MOVED_FROM|unix.IN_MOVED_TO, news)
	if err != nil {
		return err
	}
	s.watch.Store(f)
	context.AfterFunc(ctx, func() {
		s.watch.CompareAndSwap(f, nil)
		_ = f.Close()
	})
	return nil
}

// follow has the account's file watched. Of one that can't be, the next look tells.
func (s *Sink) follow(path, account string) {
	f := s.watch.Load()
	if f == nil {
		return
	}
	if path, err := filepath.Abs(path); err == nil {
		_ = f.Add(path, account)
	}
}
