package sharedfile

import (
	"fmt"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/atomicfile"
)

// A file that can't be read, for want of a right or because its disk fails there, can be
// replaced all the same: a rename reads nothing. Whether it may be, is for who knows
// what a token in it would be worth.

// Supersede puts d in the place of a file that can't be read, while its caller holds the
// lock: with what other programs had in it when it was whole. The file itself, which may
// hold a token of another program, is moved as it is to the path that is returned; where it
// can't be moved, it stays. One that can be read is none for Supersede.
func (f *File) Supersede(d format.Document) (kept string, err error) {
	if err := f.carries(d); err != nil {
		return "", err
	}
	sys, done, err := f.folders.ofToken()
	if err != nil {
		return "", fmt.Errorf("write shared file %s: %w", f.cfg.Path, err)
	}
	defer done()
	if _, _, err := f.content(sys); err == nil || Nothing(err) {
		return "", fmt.Errorf("shared file %s: it can be read by now, and is not replaced unread", f.cfg.Path)
	}
	base, want := f.unread(sys)
	b, err := format.Merge(f.cfg.Format, base, d, f.cfg.options())
	if err == nil {
		kept, err = atomicfile.MoveAside(sys, f.cfg.Path)
	}
	if err != nil {
		return "", fmt.Errorf("keep the shared file %s, which can't be read: %w", f.cfg.Path, err)
	}
	if err := f.replace(sys, b, want); err != nil {
		return kept, fmt.Errorf("write shared file %s, of which what was there is kept in %s: %w", f.cfg.Path, kept, err)
	}
	f.last.remember(sys, b)
	return kept, nil
}

// unread is what d is merged into in the place of a file that can't be read, and the
// attributes that it shall have: as it was when it was whole, or else those of the file
// that is there, which its owner may read.
func (f *File) unread(sys files.System) (base []byte, want atomicfile.Attributes) {
	if base, want = f.last.base(nil); base != nil {
		return base, want
	}
	want, err := atomicfile.AttributesOf(sys, f.cfg.Path)
	if err != nil {
		return nil, atomicfile.AsTheyAre()
	}
	want.Mode |= 0o600
	return nil, want
}
