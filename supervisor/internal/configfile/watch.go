package configfile

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/inotify"
)

// This file has the configuration read again when its files were written, for as long as
// what runs says so.

const (
	// quiet is for how long nothing must have happened to the files that somebody writes.
	quiet = time.Second
	// unaided is how often they are looked at where nobody tells what happens to them.
	unaided = 30 * time.Second
)

// WatchConfig is what a Watch is over.
type WatchConfig struct {
	File *File
	// Referred are the files that the configuration refers to by now, there or not; nil:
	// those of what runs are all that is known.
	Referred func() []string
	// Reload has the supervisor go on with what the files say, or tells why it can't.
	Reload func(ctx context.Context)
	// Follow has news called, which does not wait, when something happens at one of the
	// absolute paths, until what it returns is closed. With an error it may return who
	// follows some of them. nil: the kernel tells.
	Follow func(paths []string, news func()) (io.Closer, error)
	Log    *slog.Logger
}

// Watch is a part of the supervisor.
type Watch struct {
	cfg WatchConfig
	// tried is what was found last, and read; zero: the files say what runs.
	tried finding
	// alone: nobody tells what happens to the files.
	alone bool
}

// finding is that files were written; zero: none was.
type finding struct {
	files   []string
	imprint config.Imprint
}

// NewWatch looks at nothing yet.
func NewWatch(c WatchConfig) *Watch {
	if c.Follow == nil {
		c.Follow = follow
	}
	return &Watch{cfg: c}
}

// Run watches until ctx ends, and does not wait for a file system that does not answer.
func (w *Watch) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		select {
		case <-w.cfg.File.anew:
		default:
		}
		if w.cfg.File.running.Load().Reload == config.ReloadWatch {
			w.watch(ctx)
			continue
		}
		select {
		case <-ctx.Done():
		case <-w.cfg.File.anew:
		}
	}
	return nil
}

// watch follows the files as they lie now, and has them read if they were written; else it
// returns when something has happened to them.
func (w *Watch) watch(ctx context.Context) {
	news := make(chan struct{}, 1)
	files := slices.Concat(w.cfg.File.running.Load().Files(), w.tried.files)
	following, ok := unless(ctx, func() io.Closer { return w.follow(files, news) })
	if !ok {
		return
	}
	if following != nil {
		defer func() { _ = following.Close() }()
	}
	before, ok := finding{}, true
	if w.alone { // nobody tells that it is being written
		before, ok = unless(ctx, w.find)
	}
	heard := awaitQuiet(ctx, news)
	found, seen := unless(ctx, w.find)
	if !ok || !seen || ctx.Err() != nil || w.alone && found.imprint != before.imprint {
		return
	}
	again := found.imprint == w.tried.imprint // it was told what is wrong with it
	if w.tried = found; len(found.files) > 0 && !again {
		w.cfg.Reload(ctx)
		return
	}
	if heard { // they may lie elsewhere by now
		return
	}
	var look <-chan time.Time
	if w.alone {
		look = time.After(unaided)
	}
	select {
	case <-ctx.Done():
	case <-w.cfg.File.anew:
	case <-news:
	case <-look:
	}
}

// follow returns nil if nobody follows any of the files.
func (w *Watch) follow(files []string, news chan<- struct{}) io.Closer {
	var paths []string
	for _, file := range files {
		paths = append(paths, way(file)...)
	}
	slices.Sort(paths)
	following, err := w.cfg.Follow(slices.Compact(paths), func() {
		select {
		case news <- struct{}{}:
		default:
		}
	})
	if err != nil && !w.alone {
		w.cfg.Log.Warn("changes of the configuration's files can't be watched: they are looked at every 30 s", "error", err)
	}
	w.alone = err != nil
	return following
}

// find looks whether the files were written.
func (w *Watch) find() (f finding) {
	running := w.cfg.File.running.Load()
	if !running.Rewritten() {
		return finding{}
	}
	f.files = append(running.Files(), w.referred()...)
	slices.Sort(f.files)
	f.files = slices.Compact(f.files)
	f.imprint = config.ImprintOf(f.files)
	return f
}

// referred are the files that it refers to by now, none if reading it panics: that it does
// is told by who reads it next.
func (w *Watch) referred() (files []string) {
	defer func() {
		if recover() != nil {
			files = nil
		}
	}()
	if w.cfg.Referred == nil {
		return nil
	}
	return w.cfg.Referred()
}

// awaitQuiet returns when nothing has happened for a while, and says whether something had.
func awaitQuiet(ctx context.Context, news <-chan struct{}) (heard bool) {
	for {
		select {
		case <-ctx.Done():
			return heard
		case <-news:
			heard = true
		case <-time.After(quiet):
			return heard
		}
	}
}

// unless returns what look returns, unless ctx ends before: a look at a file system may
// never come back.
func unless[T any](ctx context.Context, look func() T) (seen T, ok bool) {
	came := make(chan T, 1)
	go func() { came <- look() }()
	select {
	case seen = <-came:
		return seen, true
	case <-ctx.Done():
		return seen, false
	}
}

// follow has the kernel tell. Whoever puts a link, or another file, in the place of one
// makes it or moves it there; what could not be read may be with other rights.
func follow(paths []string, news func()) (io.Closer, error) {
	const mask = unix.IN_MODIFY | unix.IN_CLOSE_WRITE | unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_DELETE | unix.IN_ATTRIB
	f, err := new(inotify.Instance).Follow(mask, func(string) { news() })
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		if failed := f.Add(path, ""); failed != nil {
			err = failed
		}
	}
	return f, err
}
