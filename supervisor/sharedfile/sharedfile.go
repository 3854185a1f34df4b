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
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/atomicfile"
	"github.com/tokenkeeper/tokenkeeper/supervisor/lockholder"
	"github.com/tokenkeeper/tokenkeeper/supervisor/trust"
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
	// System has the two files and their folder; nil: the operating system, whose
	// folders are examined anew for each use.
	System files.System
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

func (c *Config) options() format.Options { return format.Options{Location: c.Location} }

const (
	// maxSize is far above that of any token file.
	maxSize = format.Largest
	// roomForToken is more than any token takes in a file.
	roomForToken = 16 << 10
)

// File is one shared file: what is read there and put in its place. Its lock, with
// whatever is done about that, is its lockFile's. It is safe for concurrent use, also
// with other Files on the same path.
type File struct {
	*lockFile
	cfg     *Config
	folders *folders
	last    *memory
	spare   spare
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
	d := &folders{token: cfg.Path, lock: cfg.Lock, sys: cfg.System, rule: trust.Rule{OpenFolder: cfg.TrustFolder}}
	return &File{
		lockFile: &lockFile{
			folders: d, patience: cfg.Patience, deposit: cfg.Deposit, shelf: cfg.Shelf,
			seen: sighting{path: cfg.Lock, find: lockholder.Find},
		},
		cfg: &cfg, folders: d, last: &memory{cfg: &cfg},
	}, nil
}

// Trusted says whether the token file, the lock file and their folders can be
// of nobody but those who are trusted: nil, or a [*trust.Refusal] and the like.
// What is missing is in order.
func (f *File) Trusted() error {
	if err := f.folders.trusted(); err != nil {
		return fmt.Errorf("shared file %s: %w", f.cfg.Path, err)
	}
	return nil
}

// Lock takes the lock that all programs share, and waits for it as long as
// Config.Patience says. Release gives it back; more than one call is harmless.
// A process that dies gives back what it holds.
//
// A lock file that is missing is created, with the owner and mode of the token
// file, so that whoever may open the one may lock the other; without a token
// file, with mode 0600. It is never removed, and nobody's lock is taken away:
// the error is then a [*HeldError].
func (f *File) Lock(ctx context.Context) (release func() error, err error) {
	if err := f.Trusted(); err != nil {
		return nil, err
	}
	lock, err := f.take(ctx)
	if err != nil {
		return nil, fmt.Errorf("shared file %s: %w", f.cfg.Path, err)
	}
	return sync.OnceValue(func() error {
		f.spare.discard()
		return f.release(lock)
	}), nil
}

// Read returns what is in the file. It takes no lock: see Lock. An error for
// which [Nothing] is true means that no token is there, now, but for the refresh token
// that may stand whole in what is left of a file that is cut off or damaged: it is
// returned beside the error.
func (f *File) Read() (format.Document, error) {
	sys, done, err := f.folders.ofToken()
	if err != nil {
		return format.Document{}, fmt.Errorf("shared file %s: %w", f.cfg.Path, err)
	}
	defer done()
	b, written, err := f.content(sys)
	if err != nil {
		return format.Document{}, fmt.Errorf("shared file %s: %w", f.cfg.Path, err)
	}
	d, err := format.Decode(f.cfg.Format, b, f.cfg.options())
	if err != nil {
		rest, _ := format.Salvage(b)
		rest.WrittenAt = written
		return rest, fmt.Errorf("shared file %s: %w", f.cfg.Path, err)
	}
	d.WrittenAt = written
	if !d.RefreshToken.IsZero() {
		f.last.remember(sys, b)
	}
	return d, nil
}

// Nothing says whether err of [File.Read] means that no token is there: no
// file, or one that is being written, damaged or without a token. That is
// never a reason to give up a token from elsewhere. Other errors mean that the
// file could not be looked at.
func Nothing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, format.ErrUnreadable)
}

// Prove makes sure, while its caller holds the lock, that the next Write can't
// fail for a reason that can be known before: what Write needs is made and kept
// until then, or until the lock is given back. That the file can't be read is
// no such reason: see [File.Supersede]. After an error, which says what to do,
// nothing may be asked of the server whose answer would have to be written.
func (f *File) Prove() error {
	f.spare.discard()
	sys, done, err := f.folders.ofToken()
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
	room, want := f.room(sys)
	p, err := atomicfile.Prepare(sys, f.cfg.Path, room, want)
	if err != nil && want != atomicfile.AsTheyAre() {
		p, err = atomicfile.Prepare(sys, f.cfg.Path, room, atomicfile.AsTheyAre())
	}
	if err != nil {
		return f.cantBeReplaced(err)
	}
	kept = true
	f.spare.keep(&prepared{p, done})
	return nil
}

// Replaceable says whether the file can be replaced, as Prove does, whether it can be
// read or not. It takes no lock and leaves nothing behind.
func (f *File) Replaceable() error {
	sys, done, err := f.folders.ofToken()
	if err != nil {
		return f.cantBeReplaced(err)
	}
	defer done()
	room, _ := f.room(sys)
	if err := atomicfile.Replaceable(sys, f.cfg.Path, room, atomicfile.AsTheyAre()); err != nil {
		return f.cantBeReplaced(err)
	}
	return nil
}

// Write puts d into the file, durably, while its caller holds the lock.
// Readers see the old content or the new. What the file holds beside the
// token, its owner, its mode and its access control list are kept, if it is
// damaged or gone those that it had when it was whole; a new file has mode 0600.
//
// The new content gets a random name first, because other programs use fixed
// ones.
func (f *File) Write(d format.Document) error {
	if err := f.carries(d); err != nil {
		return err
	}
	sys, done, err := f.folders.ofToken()
	if err != nil {
		return fmt.Errorf("write shared file %s: %w", f.cfg.Path, err)
	}
	defer done()
	existing, _, err := f.content(sys)
	if err != nil && !Nothing(err) {
		return fmt.Errorf("shared file %s: %w", f.cfg.Path, err)
	}
	if isRest(existing) { // another program has written past the lock; the token must be seen all the same
		_, _ = atomicfile.KeepAside(sys, f.cfg.Path, existing)
	}
	base, want := f.last.base(existing)
	b, err := format.Merge(f.cfg.Format, base, d, f.cfg.options())
	if err != nil {
		return fmt.Errorf("shared file %s: %w", f.cfg.Path, err)
	}
	if err := f.replace(sys, b, want); err != nil {
		return fmt.Errorf("write shared file %s: %w", f.cfg.Path, err)
	}
	f.last.remember(sys, b)
	atomicfile.SweepBeside(sys, f.cfg.Path)
	return nil
}

// carries refuses what would take the other programs' refresh token away.
func (f *File) carries(d format.Document) error {
	if d.RefreshToken.IsZero() {
		return fmt.Errorf("shared file %s: account %s has no refresh token to write: the other programs would lose theirs", f.cfg.Path, d.Account)
	}
	return nil
}

// Mend puts d into a file in which [File.Read] finds nothing, while its caller
// holds the lock: with what other programs had in it, the owner and the mode as
// they were when it was whole. What is in the file and can't be read may be the
// rest of another program's token: it is kept at the path that is returned, ""
// if there was none.
func (f *File) Mend(d format.Document) (kept string, err error) {
	sys, done, err := f.folders.ofToken()
	if err != nil {
		return "", fmt.Errorf("write shared file %s: %w", f.cfg.Path, err)
	}
	defer done()
	existing, _, err := f.content(sys)
	if err != nil && !Nothing(err) {
		return "", fmt.Errorf("shared file %s: %w", f.cfg.Path, err)
	}
	if kept, err = f.keepRest(sys, existing); err != nil {
		return "", err
	}
	return kept, f.Write(d)
}

// KeepRest keeps what is left of a file that is cut off or damaged at the path that is
// returned, "" if nothing is, while its caller holds the lock: another program may write
// over it at any time. The file stays as it is.
func (f *File) KeepRest() (kept string, err error) {
	sys, done, err := f.folders.ofToken()
	if err != nil {
		return "", fmt.Errorf("shared file %s: %w", f.cfg.Path, err)
	}
	defer done()
	existing, _, err := f.content(sys)
	if err != nil {
		return "", fmt.Errorf("shared file %s: %w", f.cfg.Path, err)
	}
	return f.keepRest(sys, existing)
}

func (f *File) keepRest(sys files.System, content []byte) (kept string, err error) {
	if !isRest(content) {
		return "", nil
	}
	if kept, err = atomicfile.KeepAside(sys, f.cfg.Path, content); err != nil {
		return "", fmt.Errorf("keep what is left of the shared file %s: %w", f.cfg.Path, err)
	}
	return kept, nil
}

// Watch calls changed once the watch stands and then after each time that
// somebody, we too, has replaced or removed the file, or has written into it
// and closed it. It returns when ctx ends, or with the reason why nothing can be watched
// here: the caller then depends on its regular look alone. It doesn't poll. It
// outlives the removal of the file and of its directory. changed is not called
// concurrently, and should return soon.
//
// What happens on another machine, or to a symbolic link above the directory,
// is not seen: the regular look is needed all the same.
func (f *File) Watch(ctx context.Context, changed func()) error {
	if err := watch(ctx, f.cfg.Path, changed); ctx.Err() != nil {
		return ctx.Err()
	} else if err != nil {
		return fmt.Errorf("shared file %s: %w", f.cfg.Path, err)
	}
	return nil
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

// replace uses what Prove has kept. If that fails all the same, a fresh file
// may still do, and so may other attributes if the right ones can't be given.
func (f *File) replace(sys files.System, content []byte, want atomicfile.Attributes) error {
	ctx := context.Background()
	if p := f.spare.take(); p != nil {
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

func (f *File) cantBeReplaced(err error) error {
	return fmt.Errorf("shared file %s can't be replaced: %w", f.cfg.Path, err)
}

// room is what the file will take up, generously; want are the attributes that
// it shall have.
func (f *File) room(sys files.System) (n int, want atomicfile.Attributes) {
	existing, _, err := f.content(sys)
	base, want := f.last.base(existing)
	if err != nil && !Nothing(err) {
		base, want = f.unread(sys)
	}
	return 2*len(base) + roomForToken, want
}
