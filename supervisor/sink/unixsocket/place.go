package unixsocket

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/inotify"
	"github.com/tokenkeeper/tokenkeeper/supervisor/localsocket"
)

// errVanished: our socket is not at its path any more, so that nobody new can
// connect.
var errVanished = errors.New("the socket is not at its path any more")

// reopenPause is how long to wait before a socket that could not be opened
// again is tried once more, doubled up to the limit.
const (
	reopenPause    = 200 * time.Millisecond
	reopenPauseMax = 30 * time.Second
)

// place is our socket and its path.
type place struct {
	*localsocket.Socket
	path    string
	inotify inotify.Instance
}

// open opens the socket, and notes why it could not.
func (l *Listener) open() (p *place, err error) {
	defer func() {
		l.mu.Lock()
		l.broken = err
		l.mu.Unlock()
	}()
	ln, err := localsocket.Listen(l.cfg.Path, localsocket.Options{Name: "the sink's socket", Key: "its path", Mode: l.cfg.Mode, TrustFolder: l.cfg.TrustFolder})
	if err != nil {
		return nil, err
	}
	return &place{Socket: ln, path: l.cfg.Path}, nil
}

// reopen tries until the socket is open or ctx ends.
func (l *Listener) reopen(ctx context.Context) (*place, error) {
	for pause := reopenPause; ; pause = min(2*pause, reopenPauseMax) {
		p, err := l.open()
		if err == nil {
			return p, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// vanishes blocks until the socket is not at its path any more, and then
// returns true, or until ctx ends. It looks when the directory tells of a
// change, and when look says so.
func (p *place) vanishes(ctx context.Context, look <-chan struct{}) bool {
	changes := make(chan struct{}, 1)
	f, err := p.inotify.Follow(unix.IN_DELETE|unix.IN_MOVED_FROM|unix.IN_MOVED_TO, func(string) { ring(changes) })
	if err == nil { // else only look tells
		defer func() { _ = f.Close() }()
		if path, err := filepath.Abs(p.path); err == nil {
			_ = f.Add(path, "")
		}
	}
	for p.Stands() {
		select {
		case <-ctx.Done():
			return false
		case <-changes:
		case <-look:
		}
	}
	return ctx.Err() == nil
}

// ring wakes the receiver of a channel with room for one, if it is not awake already.
func ring(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
