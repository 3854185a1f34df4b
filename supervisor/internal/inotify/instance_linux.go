package inotify

import (
	"iter"
	"maps"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// Instance is one of the user's instances of inotify, of which the kernel gives him few
// (128, if nothing else is set: fs.inotify.max_user_instances). Any number of Followers
// have it together: whose directories may hang (a network's) should not, because the
// kernel is asked for one watch after the other, and everybody waits. It is taken when the first of them comes, and given back when the
// last has gone. The zero value is ready. It is safe for concurrent use.
type Instance struct {
	mu     sync.Mutex
	kernel *kernel // nil: nobody follows anything
	// by are, for the kernel's number of a watch, those who have something in its
	// directory.
	by        map[int32]map[*Follower]struct{}
	followers map[*Follower]struct{}
}

// Follow returns a Follower that follows nothing yet. changed is called, one call at a
// time, with the tag of each path at which something has happened that mask says, and
// with "" if too much did for the kernel to tell; it must not block, because everybody
// waits for it who has the instance. Close it after use. The error is the kernel's: EMFILE
// where the user has no instance left.
func (i *Instance) Follow(mask uint32, changed func(tag string)) (*Follower, error) {
	f := &Follower{instance: i, mask: mask, changed: changed, places: map[int32][]*place{}, byDir: map[string]*place{}}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.kernel == nil {
		k, err := open()
		if err != nil {
			return nil, err
		}
		i.begin(k)
		go i.run(k)
	}
	i.followers[f] = struct{}{}
	return f, nil
}

// begin is called with mu held.
func (i *Instance) begin(k *kernel) {
	i.kernel, i.by, i.followers = k, map[int32]map[*Follower]struct{}{}, map[*Follower]struct{}{}
}

// run tells the followers what happens, until k is closed.
func (i *Instance) run(k *kernel) {
	for {
		events, err := k.next()
		if err != nil {
			return
		}
		for _, e := range events {
			for _, f := range i.concerned(k, e) {
				f.tell(e)
			}
		}
	}
}

// concerned returns those whom an event of k is about.
func (i *Instance) concerned(k *kernel, e event) []*Follower {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case i.kernel != k: // all have gone for whom it was
		return nil
	case e.mask&unix.IN_Q_OVERFLOW != 0:
		return slices.Collect(maps.Keys(i.followers))
	}
	return slices.Collect(maps.Keys(i.by[e.watch]))
}

// add watches a directory for f, too. After f has gone it is [os.ErrClosed].
func (i *Instance) add(f *Follower, dir string, mask uint32) (watch int32, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if _, here := i.followers[f]; !here {
		return 0, os.ErrClosed
	}
	// What others want to be told of it stays.
	if watch, err = i.kernel.add(dir, mask|unix.IN_MASK_ADD); err != nil {
		return 0, err
	}
	if i.by[watch] == nil {
		i.by[watch] = map[*Follower]struct{}{}
	}
	i.by[watch][f] = struct{}{}
	return watch, nil
}

// remove watches a directory no longer for f.
func (i *Instance) remove(f *Follower, watch int32) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.drop(f, watch)
}

// drop is called with mu held.
func (i *Instance) drop(f *Follower, watch int32) {
	users := i.by[watch]
	if _, uses := users[f]; !uses {
		return
	}
	if delete(users, f); len(users) == 0 {
		delete(i.by, watch)
		i.kernel.remove(watch)
	}
}

// leave is for a follower that goes, with the watches that it has.
func (i *Instance) leave(f *Follower, watches iter.Seq[int32]) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if _, here := i.followers[f]; !here {
		return nil
	}
	if delete(i.followers, f); len(i.followers) == 0 {
		k := i.kernel
		i.kernel, i.by, i.followers = nil, nil, nil
		return k.close()
	}
	for watch := range watches {
		i.drop(f, watch)
	}
	return nil
}
