package store

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
	"golang.org/x/sys/unix"
)

// FileName is the store's one file in the state directory.
const FileName = "tokenkeeper.db"

// Options of [Open]; the zero value is good.
type Options struct {
	// Timeout is how long to wait for another supervisor to leave the state
	// directory, as it does when it is being restarted; 0: one second.
	Timeout time.Duration
	// Now dates what comes without a date: a record's StoredAt, an intent's
	// and a delivery's At; nil: [time.Now].
	Now func() time.Time
	// Log; nil: silence.
	Log *slog.Logger
}

// Bolt is the native [Store]: one bbolt file.
//
// Writes are batched without waiting: callers that come while a transaction is
// being written share the next one. A context counts until its write is
// queued; then the outcome is waited for. Reads never wait for the disk and
// never see what is not durable yet.
type Bolt struct{ *engine }

var _ Store = (*Bolt)(nil)

// Open opens the store in the state directory dir, which is made with mode
// 0700 if it is missing. The file lock on the store keeps a second supervisor
// out: ErrInUse, and the error names the process that holds it.
// ErrNewerFormat and ErrDamaged leave the file as it is.
func Open(dir string, o Options) (*Bolt, error) {
	if err := prepareDir(dir); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, FileName)
	if err := checkFile(path); err != nil {
		return nil, err
	}
	if o.Timeout <= 0 {
		o.Timeout = time.Second
	}
	b := &boltBackend{}
	if err := guard(func() error { return b.open(path, o.Timeout) }); err != nil {
		b.abandon()
		return nil, openError(path, err)
	}
	if err := guard(func() error { return b.prepare(dir) }); err != nil {
		return nil, errors.Join(fmt.Errorf("state file %s: %w", path, err), b.close())
	}
	return &Bolt{newEngine(b, o.Now, o.Log)}, nil
}

// prepareDir makes dir, or checks that nobody else reads in it.
func prepareDir(dir string) error {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("the state directory can't be made: %w", err)
		}
		return syncDir(filepath.Dir(dir))
	}
	if err != nil {
		return fmt.Errorf("the state directory can't be read: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("the state directory %s is not a directory", dir)
	}
	if open := info.Mode().Perm() & 0o077; open != 0 {
		return fmt.Errorf("the state directory %s is open to others (mode %04o), and it holds refresh tokens: chmod 700 %s",
			dir, info.Mode().Perm(), dir)
	}
	return nil
}

// checkFile checks a state file that exists.
func checkFile(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("the state file can't be read: %w", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("the state file %s is not a regular file", path)
	}
	if open := info.Mode().Perm() & 0o077; open != 0 {
		return fmt.Errorf("the state file %s is open to others (mode %04o), and it holds refresh tokens: chmod 600 %s",
			path, info.Mode().Perm(), path)
	}
	return nil
}

func openError(path string, err error) error {
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return fmt.Errorf("%w: %s is locked by %s; stop that one first, or give this one a state directory of its own",
			ErrInUse, path, holder(path))
	case errors.Is(err, errPanic), errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrChecksum),
		errors.Is(err, berrors.ErrVersionMismatch), errors.Is(err, berrors.ErrInvalidMapping):
		return fmt.Errorf("%w: state file %s (%w); move it away, keep it, and restore a backup or import the tokens", ErrDamaged, path, err)
	}
	return fmt.Errorf("the state file %s can't be opened: %w", path, err)
}

// boltBackend keeps every key in one bucket.
type boltBackend struct {
	db   *bolt.DB
	file *os.File
	// broken: a panic left the locks inside db as they were.
	broken bool
}

var bucketName = []byte("tokenkeeper")

// initialMmap spares a small store every remap, for which bbolt has to wait
// until nobody reads. It is also the size to which the (sparse) file grows
// first.
const initialMmap = 256 << 10

func (b *boltBackend) open(path string, timeout time.Duration) (err error) {
	b.db, err = bolt.Open(path, 0o600, &bolt.Options{
		Timeout: timeout,
		// The free list is stored: one page more in each write and no fsync
		// more, and so Open need not walk the whole tree, which a damaged
		// file can make panic where nobody can recover.
		FreelistType:    bolt.FreelistMapType,
		InitialMmapSize: initialMmap,
		NoStatistics:    true,
		OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
			f, err := os.OpenFile(name, flag, mode)
			b.file = f
			return f, err
		},
	})
	return err
}

// prepare checks the format of the store, or gives a new one its own.
func (b *boltBackend) prepare(dir string) error {
	var version []byte
	err := b.db.View(func(tx *bolt.Tx) error {
		if bucket := tx.Bucket(bucketName); bucket != nil {
			version = append(version, bucket.Get([]byte(keyFormat))...)
			return checkFormat(string(version))
		}
		if name, _ := tx.Cursor().First(); name != nil {
			return fmt.Errorf("%w: it is a bbolt file of some other program", ErrDamaged)
		}
		return nil
	})
	if err != nil || version != nil {
		return err
	}
	err = b.db.Update(func(tx *bolt.Tx) error {
		bucket, err := tx.CreateBucket(bucketName)
		if err != nil {
			return err
		}
		return bucket.Put([]byte(keyFormat), []byte(formatVersion))
	})
	if err != nil {
		return err
	}
	// bbolt syncs its file, but not the directory that names it.
	return syncDir(dir)
}

func (b *boltBackend) view(fn func(reader)) error {
	return b.db.View(func(tx *bolt.Tx) error {
		fn(boltReader{tx.Bucket(bucketName)})
		return nil
	})
}

func (b *boltBackend) update(c change) error {
	b.broken = true // unless this returns
	err := b.db.Update(func(tx *bolt.Tx) error {
		bucket := tx.Bucket(bucketName)
		for _, key := range sortedKeys(c) {
			if err := apply(bucket, key, c[key]); err != nil {
				return err
			}
		}
		return nil
	})
	b.broken = false
	return err
}

func apply(bucket *bolt.Bucket, key string, value []byte) error {
	if value == nil {
		return bucket.Delete([]byte(key))
	}
	return bucket.Put([]byte(key), value)
}

func (b *boltBackend) close() error {
	if b.broken {
		b.abandon()
		return nil
	}
	return b.db.Close()
}

// abandon gives the file free for a new handle without going through bbolt,
// whose own Close would wait for the locks of a transaction that panicked. The
// memory map stays; it would keep the file lock too, so that is taken off first.
func (b *boltBackend) abandon() {
	if b.file != nil {
		_ = unix.Flock(int(b.file.Fd()), unix.LOCK_UN)
		_ = b.file.Close()
	}
}

type boltReader struct{ bucket *bolt.Bucket }

func (r boltReader) get(key string) []byte { return r.bucket.Get([]byte(key)) }

func (r boltReader) scan(prefix string, fn func(string, []byte)) {
	c := r.bucket.Cursor()
	for k, v := c.Seek([]byte(prefix)); k != nil && len(k) >= len(prefix) && string(k[:len(prefix)]) == prefix; k, v = c.Next() {
		fn(string(k), v)
	}
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("syncing directory %s: %w", dir, err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("syncing directory %s: %w", dir, err)
	}
	return nil
}
