package inotify

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Mask bits of a directory that is on the way to a followed path: something on
// that way appears, or the directory goes away.
const (
	appears  = unix.IN_CREATE | unix.IN_MOVED_TO
	vanishes = unix.IN_DELETE_SELF | unix.IN_MOVE_SELF
)

// Follower tells what happens at paths, in any number of directories, with an
// [Instance] that others may have too. Of a path whose directory is missing it
// watches the nearest one that is there. It is safe for concurrent use.
type Follower struct {
	instance *Instance
	mask     uint32
	changed  func(tag string)

	mu    sync.Mutex // taken before the instance's
	byDir map[string]*place
	// places are by the kernel's number of the watch: one directory may have
	// several names.
	places map[int32][]*place
}

// place is a watched directory, and by the names in it what is followed there.
type place struct {
	dir   string
	watch int32
	mask  uint32 // what it is watched for, by us
	names map[string]map[followed]struct{}
}

// followed is a path, and what whoever follows it calls it.
type followed struct{ path, tag string }

// closing is for how long a directory that does not answer is waited for by who closes.
const closing = time.Second

// errClosing: somebody looks at a directory that does not answer.
var errClosing = fmt.Errorf("a directory that is followed has not answered for %s; it is followed until it does", closing)

// Close ends it. A word that is on its way may still come. A directory that does not
// answer, as of a network drive whose server is gone, keeps nobody waiting for longer than
// a second.
func (f *Follower) Close() error {
	closed := make(chan error, 1)
	go func() { closed <- f.close() }()
	select {
	case err := <-closed:
		return err
	case <-time.After(closing):
		return errClosing
	}
}

func (f *Follower) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	watches := maps.Keys(f.places)
	f.places, f.byDir = map[int32][]*place{}, map[string]*place{}
	return f.instance.leave(f, watches)
}

// Add follows an absolute path from now on, under a tag. Of one that is followed
// already it makes sure that the directory which is watched is the one that is
// there: that a link on the way leads elsewhere, or that a directory further up was
// moved, the kernel does not tell.
func (f *Follower) Add(path, tag string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.add(followed{path, tag})
}

// tell tells what an event is about.
func (f *Follower) tell(e event) {
	for _, tag := range f.happened(e) {
		f.changed(tag)
	}
}

// happened returns the tags of what the event is about, and follows from the next
// directory what has come nearer or gone.
func (f *Follower) happened(e event) (tags []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e.mask&unix.IN_Q_OVERFLOW != 0 {
		return []string{""}
	}
	if e.name == "" {
		return f.gone(e)
	}
	for _, p := range f.places[e.watch] {
		if e.mask&p.mask == 0 {
			continue // somebody else has it watched for that
		}
		for _, at := range slices.Collect(maps.Keys(p.names[e.name])) {
			tags = append(tags, at.tag)
			if filepath.Dir(at.path) != p.dir {
				p.drop(e.name, at)
				_ = f.add(at) // else the next look at it tells
			}
		}
	}
	return tags
}

// What follows is called with mu held.

func (f *Follower) add(at followed) error {
	dir, name := filepath.Dir(at.path), filepath.Base(at.path)
	if p, _ := f.place(dir, f.mask); p != nil {
		p.put(name, at)
		return nil
	}
	for {
		dir, name = nearest(at.path)
		mask := uint32(appears)
		if dir == filepath.Dir(at.path) {
			mask = f.mask
		}
		p, err := f.place(dir, mask)
		if err != nil {
			return err
		}
		if p == nil {
			continue // it has gone since it was looked for
		}
		// What came before the watch stood is seen by looking.
		if d, n := nearest(at.path); d == dir && n == name {
			p.put(name, at)
			return nil
		}
	}
}

// gone returns the tags of what was followed in a directory that is not at its
// place any more, and follows it from the nearest one that is there.
func (f *Follower) gone(e event) (tags []string) {
	if e.mask&(vanishes|unix.IN_IGNORED|unix.IN_UNMOUNT) == 0 {
		return nil
	}
	places := f.places[e.watch]
	delete(f.places, e.watch)
	for _, p := range places {
		delete(f.byDir, p.dir)
	}
	f.instance.remove(f, e.watch)
	for _, p := range places {
		for _, all := range p.names {
			for at := range all {
				tags = append(tags, at.tag)
				_ = f.add(at) // else the next look at it tells
			}
		}
	}
	return tags
}

// place watches the directory that is at dir now for what mask says; nil: there is
// none.
func (f *Follower) place(dir string, mask uint32) (*place, error) {
	p := f.byDir[dir]
	if p != nil {
		mask |= p.mask
	}
	watch, err := f.instance.add(f, dir, mask|vanishes)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return nil, nil
	}
	if err != nil {
		return nil, &os.PathError{Op: "watch", Path: dir, Err: err}
	}
	if p != nil && p.watch != watch { // another directory is there than the one that was
		f.leave(p)
		p.watch = watch
		f.places[watch] = append(f.places[watch], p)
	}
	if p == nil {
		p = &place{dir: dir, watch: watch, names: map[string]map[followed]struct{}{}}
		f.byDir[dir] = p
		f.places[watch] = append(f.places[watch], p)
	}
	p.mask = mask
	return p, nil
}

// leave has nothing told any more of the directory that was at the place.
func (f *Follower) leave(p *place) {
	left := slices.DeleteFunc(slices.Clone(f.places[p.watch]), func(other *place) bool { return other == p })
	if len(left) > 0 {
		f.places[p.watch] = left
		return
	}
	delete(f.places, p.watch)
	f.instance.remove(f, p.watch)
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

func (p *place) put(name string, at followed) {
	if p.names[name] == nil {
		p.names[name] = map[followed]struct{}{}
	}
	p.names[name][at] = struct{}{}
}

func (p *place) drop(name string, at followed) {
	delete(p.names[name], at)
	if len(p.names[name]) == 0 {
		delete(p.names, name)
	}
}
