// Package sharedfile is a token file that other programs read and write too:
// every program that refreshes the grant takes the same lock, reads the file
// again, refreshes, writes the file and gives the lock back.
package sharedfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
	"github.com/tokenkeeper/tokenkeeper/supervisor/atomicfile"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/lockholder"
)

// Config is one shared file.
type Config struct {
	// Path of the token file. It need not exist; its directory need not exist
	// either until something is written.
	Path string
	// Lock is the file that all programs lock; "": Path with ".lock" at its
	// end. It is another file than Path, which is replaced at each write.
	Lock string
	// Format names one of package format.
	Format string
	// Location of the format's naive local times; nil: [time.Local].
	Location *time.Location
	// AllowUnsafe takes a file system on which flock may not keep programs
	// apart.
	AllowUnsafe bool
	// TrustFolder takes folders into which others may write, whoever owns the
	// files there.
	TrustFolder bool
	// Patience is how long Lock waits; 0: 30 s.
	Patience time.Duration
	// Note is the file that keeps over a restart what the shared file was like
	// when it was whole, see [NotePath]; "": nothing does.
	Note string
	// Deposit keeps the lock's descriptor, too, from a Lend until the lock is
	// given back; nil: nobody does.
	Deposit Deposit
	// Shelf is where Keep and Inherit keep the lock. Files of one process that
	// may have the same lock file need the same one; nil: there are no others.
	Shelf *Shelf
}

const (
	// poll is how often Lock tries.
	poll = 100 * time.Millisecond
	// lookEvery is how often, meanwhile, it finds out who holds the lock.
	lookEvery = time.Second
)

// File is one shared file. It is safe for concurrent use, also with other
// Files on the same path.
type File struct {
	cfg Config
	sys files.System // nil: the folders themselves, opened anew for each use
	// find says who holds a lock.
	find func(path string) lockholder.Holders

	mu       sync.Mutex // guards what follows
	seen     sighting
	lock     carrier   // nil: we don't hold it
	prepared *prepared // by Prove, for the next Write
	whole    *whole    // nil: it has not been seen so yet
	noted    bool      // whole is what the note says
}

// sighting is since when one process has been found holding the lock.
type sighting struct {
	by        lockholder.Holders
	since, at time.Time // first and last
}

// New checks cfg and the file systems; it changes nothing. The error says what
// to do.
func New(cfg Config) (*File, error) {
	if cfg.Path == "" {
		return nil, errors.New("a shared file needs a path")
	}
	if cfg.Lock == "" {
		cfg.Lock = cfg.Path + ".lock"
	}
	if cfg.Shelf == nil {
		cfg.Shelf = &Shelf{}
	}
	if cfg.Patience == 0 {
		cfg.Patience = 30 * time.Second
	}
	if filepath.Clean(cfg.Lock) == filepath.Clean(cfg.Path) {
		return nil, fmt.Errorf("shared file %s: it can't be its own lock, because it is replaced at each write: set lock to another file, the one that the other programs lock", cfg.Path)
	}
	if info, err := os.Lstat(cfg.Path); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		return nil, fmt.Errorf("shared file %s: it is a symbolic link, which a write would replace: set path to the file that it names, and lock to the file that the other programs lock", cfg.Path)
	}
	if _, err := format.Decode(cfg.Format, nil, format.Options{}); errors.Is(err, format.ErrUnknown) {
		return nil, fmt.Errorf("shared file %s: %w", cfg.Path, err)
	}
	if !cfg.AllowUnsafe {
		// Programs on two machines that share only one of the two files would
		// not keep apart either.
		for _, path := range []string{cfg.Lock, cfg.Path} {
			if err := Exclusive(path); err != nil {
				return nil, fmt.Errorf("shared file %s: %w", cfg.Path, err)
			}
		}
	}
	return &File{cfg: cfg, find: lockholder.Find}, nil
}

func (f *File) options() format.Options { return format.Options{Location: f.cfg.Location} }

// maxSize is far above that of any token file.
const maxSize = format.Largest

// Read returns what is in the file. It takes no lock: see Lock. An error for
// which [Nothing] is true means that no token is there, now.
func (f *File) Read() (format.Document, error) {
	sys, done, err := f.folder()
	if err != nil {
		return format.Document{}, fmt.Errorf("shared file %s: %w", f.cfg.Path, err)
	}
	defer done()
	b, written, err := f.content(sys)
	if err != nil {
		return format.Document{}, fmt.Errorf("shared file %s: %w", f.cfg.Path, err)
	}
	d, err := format.Decode(f.cfg.Format, b, f.options())
	if err != nil {
		return format.Document{}, fmt.Errorf("shared file %s: %w", f.cfg.Path, err)
	}
	d.WrittenAt = written
	if !d.RefreshToken.IsZero() {
		f.remember(sys, b)
	}
	return d, nil
}

// content reads the file, and never blocks on something that is none. It also
// says when the file was written.
func (f *File) content(sys files.System) ([]byte, time.Time, error) {
	file, err := sys.OpenFile(f.cfg.Path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return nil, time.Time{}, err
	}
	if !info.Mode().IsRegular() {
		return nil, time.Time{}, errors.New("it is " + files.Kind(info.Mode()) + ": move it away or set another path")
	}
	b, err := io.ReadAll(io.LimitReader(file, maxSize+1))
	if len(b) > maxSize {
		return nil, time.Time{}, fmt.Errorf("%w: it is larger than %d bytes", format.ErrUnreadable, maxSize)
	}
	return b, info.ModTime(), err
}

// Nothing says whether err of [File.Read] means that no token is there: no
// file, or one that is being written, damaged or without a token. That is
// never a reason to give up a token from elsewhere. Other errors mean that the
// file could not be looked at.
func Nothing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, format.ErrUnreadable)
}

// Write puts d into the file, durably, while its caller holds the lock.
// Readers see the old content or the new. What the file holds beside the
// token, its owner, its mode and its access control list are kept, if it is
// damaged or gone those that it had when it was whole; a new file has mode 0600.
//
// The new content gets a random name first, because other programs use fixed
// ones.
func (f *File) Write(d format.Document) error {
	if d.RefreshToken.IsZero() {
		return fmt.Errorf("shared file %s: account %s has no refresh token to write: the other programs would lose theirs", f.cfg.Path, d.Account)
	}
	sys, done, err := f.folder()
	if err != nil {
		return fmt.Errorf("write shared file %s: %w", f.cfg.Path, err)
	}
	defer done()
	existing, _, err := f.content(sys)
	if err != nil && !Nothing(err) {
		return fmt.Errorf("shared file %s: %w", f.cfg.Path, err)
	}
	base, want := f.base(existing)
	b, err := format.Merge(f.cfg.Format, base, d, f.options())
	if err != nil {
		return fmt.Errorf("shared file %s: %w", f.cfg.Path, err)
	}
	if err := f.replace(sys, b, want); err != nil {
		return fmt.Errorf("write shared file %s: %w", f.cfg.Path, err)
	}
	f.remember(sys, b)
	atomicfile.SweepBeside(sys, f.cfg.Path)
	return nil
}

// replace uses what Prove has kept. If that fails all the same, a fresh file
// may still do, and so may other attributes if the right ones can't be given.
func (f *File) replace(sys files.System, content []byte, want atomicfile.Attributes) error {
	ctx := context.Background()
	if p := f.take(); p != nil {
		defer p.done()
		if err := p.Put(ctx, content); err == nil || errors.Is(err, atomicfile.ErrNotDurable) {
			return err
		}
	}
	err := atomicfile.Replace(ctx, sys, f.cfg.Path, content, want)
	if err == nil || errors.Is(err, atomicfile.ErrNotDurable) || want == atomicfile.AsTheyAre() {
		return err
	}
	return atomicfile.Replace(ctx, sys, f.cfg.Path, content, atomicfile.AsTheyAre())
}
