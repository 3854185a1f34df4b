package sharedfile

import (
	"fmt"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
	"github.com/tokenkeeper/tokenkeeper/supervisor/atomicfile"
)

// roomForToken is more than any token takes in a file.
const roomForToken = 16 << 10

// Prove makes sure, while its caller holds the lock, that the next Write can't
// fail for a reason that can be known before: what Write needs is made and kept
// until then, or until the lock is given back. After an error, which says what
// to do, nothing may be asked of the server whose answer would have to be
// written.
func (f *File) Prove() error {
	f.drop()
	sys, done, err := f.folder()
	if err != nil {
		return f.cantBeReplaced(err)
	}
	kept := false
	defer func() {
		if !kept {
			done()
		}
	}()
	// First, because what dead processes left behind may be what fills the
	// folder.
	atomicfile.SweepBeside(sys, f.cfg.Path)
	room, want, err := f.room(sys)
	if err != nil {
		return err
	}
	p, err := atomicfile.Prepare(sys, f.cfg.Path, room, want)
	if err != nil && want != atomicfile.AsTheyAre() {
		p, err = atomicfile.Prepare(sys, f.cfg.Path, room, atomicfile.AsTheyAre())
	}
	if err != nil {
		return f.cantBeReplaced(err)
	}
	kept = true
	f.mu.Lock()
	f.prepared = &prepared{p, done}
	f.mu.Unlock()
	return nil
}

// prepared is kept with the folder that it is in.
type prepared struct {
	*atomicfile.Prepared
	done func()
}

// Replaceable says whether the file can be replaced, as Prove does. It takes no
// lock and leaves nothing behind.
func (f *File) Replaceable() error {
	sys, done, err := f.folder()
	if err != nil {
		return f.cantBeReplaced(err)
	}
	defer done()
	room, _, err := f.room(sys)
	if err != nil {
		return err
	}
	if err := atomicfile.Replaceable(sys, f.cfg.Path, room, atomicfile.AsTheyAre()); err != nil {
		return f.cantBeReplaced(err)
	}
	return nil
}

func (f *File) cantBeReplaced(err error) error {
	return fmt.Errorf("shared file %s can't be replaced: %w", f.cfg.Path, err)
}

// room is what the file will take up, generously; want are the attributes that
// it shall have.
func (f *File) room(sys files.System) (n int, want atomicfile.Attributes, err error) {
	existing, _, err := f.content(sys)
	if err != nil && !Nothing(err) {
		return 0, want, fmt.Errorf("shared file %s: %w", f.cfg.Path, err)
	}
	base, want := f.base(existing)
	return 2*len(base) + roomForToken, want, nil
}

// take hands out what Prove has kept, nil if there is nothing.
func (f *File) take() *prepared {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.prepared
	f.prepared = nil
	return p
}

// drop gives up what Prove has kept.
func (f *File) drop() {
	if p := f.take(); p != nil {
		p.Discard()
		p.done()
	}
}
