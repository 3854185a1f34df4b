package store

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"time"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// boltBackend is an open bbolt file, which keeps every key in one bucket. It
// is written to and never read: the mirror knows what is in it.
type boltBackend struct {
	db   *bolt.DB
	file *os.File
	// broken: a panic left the locks inside db as they were.
	broken bool
	// reserved is how much room of the file system is set aside.
	reserved int64
	pageSize int
	// identity is what tells the file from any other, and left how we left it.
	identity fs.FileInfo
	left     trace
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
	if err != nil {
		return err
	}
	b.reserve()
	b.pageSize = b.db.Info().PageSize
	b.left, err = b.look()
	b.identity = b.left.info
	return err
}

// fill writes everything into a new file.
func (b *boltBackend) fill(f fresh) error {
	sum, err := f.total.encode()
	if err != nil {
		return err
	}
	c := change(maps.Clone(f.values))
	c[keyFormat], c[keySum] = []byte(f.format), sum
	return b.transact(func(tx *bolt.Tx) error {
		bucket, err := tx.CreateBucket(bucketName)
		if err != nil {
			return err
		}
		return applyAll(bucket, c)
	})
}

// reserve has the file system set room aside for what the file is mapped to,
// so that a full disk refuses no small change. Not every file system can.
func (b *boltBackend) reserve() {
	info, err := b.file.Stat()
	if err != nil {
		return
	}
	if size := max(info.Size(), initialMmap); size > b.reserved {
		b.reserved = size
		_ = unix.Fallocate(int(b.file.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, size)
	}
}

// update writes one transaction.
func (b *boltBackend) update(c change) error {
	return b.transact(func(tx *bolt.Tx) error { return applyAll(tx.Bucket(bucketName), c) })
}

// transact makes one transaction durable, and then looks whether it stands in
// the file as it was written.
func (b *boltBackend) transact(fill func(*bolt.Tx) error) error {
	id := 0
	b.broken = true // unless this returns
	err := b.db.Update(func(tx *bolt.Tx) error {
		id = tx.ID()
		return fill(tx)
	})
	b.broken = false
	if err != nil {
		return err
	}
	b.reserve()
	return b.leave(uint64(id))
}

func applyAll(bucket *bolt.Bucket, c change) error {
	for _, key := range sortedKeys(c) {
		err := bucket.Delete([]byte(key))
		if c[key] != nil {
			err = bucket.Put([]byte(key), c[key])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *boltBackend) close() error {
	if b.broken || b.db == nil {
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
