package store

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store/journal"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store/mirror"
)

// source is a file that holds the store, or may have held it.
type source struct {
	*journal.Image
	// state is what the values are, in types.
	state *state
}

// decode makes typed values of what was read.
func decode(img *journal.Image) source {
	s := source{img, newState()}
	if errors.Is(img.Err, ErrNewerFormat) {
		return s
	}
	defer runtime.KeepAlive(ballast(int64(img.Length)))
	var keys []string
	var errs []error
	for key, value := range img.All() {
		if err := s.state.put(key, value); err != nil {
			keys, errs = append(keys, key), append(errs, err)
		}
	}
	if len(errs) > 0 {
		img.Refuse(keys, errors.Join(errs...))
	}
	return s
}

// ballast is a heap of that size, and takes no memory, because nobody touches it. While it
// lives the collector lets the heap grow by as much: little of what is made of a file is
// garbage, and to go through it each time that it has doubled costs a fifth more.
func ballast(size int64) [2][]byte {
	// What begins where something was before is cleared, and so touched: a first piece
	// that fits into no gap takes that place.
	size = min(size, debug.SetMemoryLimit(-1)/8)
	first := min(size, 64<<20)
	return [2][]byte{make([]byte, first), make([]byte, size-first)}
}

// opening is a store of which nothing is known yet.
type opening struct {
	mirror *mirror.Mirror
	dir    string
	log    *slog.Logger
}

// open finds the newest state and goes on in its file; or restores the store if that
// can't be done. Nothing is written before it is clear that no newer program has been
// here.
func (o opening) open() (*state, *Restored, error) {
	images, err := o.mirror.Live()
	if err != nil {
		return nil, nil, err
	}
	var live []source
	for _, img := range images {
		defer img.Close()
		live = append(live, decode(img))
	}
	var best *source
	for n, s := range live {
		switch {
		case s.Err != nil:
			return o.restore(images, live, fmt.Errorf("state file %s: %w", s.Path, s.Err))
		case s.Good() && (best == nil || s.Sequence > best.Sequence):
			best = &live[n]
		}
	}
	if best == nil {
		return o.restore(images, live, errGone)
	}
	if best.Moved != "" {
		return nil, nil, fmt.Errorf("%w to %s; what is in %s is not the newest any more", ErrMoved, best.Moved, best.Path)
	}
	if path, acked := o.mirror.NewestBackup(); acked > best.Sequence {
		return o.restore(images, live, fmt.Errorf("%w: %s ends with transaction %d, and its backup %s with %d: an older file has taken its place",
			ErrDamaged, best.Path, best.Sequence, path, acked))
	}
	if err := o.mirror.Adopt(best.state, best.Image); err != nil && !errors.Is(err, ErrDisk) {
		return nil, nil, err
	}
	o.mirror.Retire(images)
	return best.state, nil, nil
}
