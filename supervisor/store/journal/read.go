package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Read reads the file at path. One that does not exist is empty. An error means that
// nothing can be said about it. Close what it returns.
func Read(path string) (*Image, error) { return open(path, map[string]placed{}) }

// Check is Read for who does not ask for the values: whether the file is whole, and how far
// it goes.
func Check(path string) (*Image, error) { return open(path, nil) }

func open(path string, values map[string]placed) (*Image, error) {
	f, info, err := openRegular(path)
	if errors.Is(err, fs.ErrNotExist) {
		img := ReadBytes(nil)
		img.Path = path
		return img, nil
	}
	if err != nil {
		return nil, fmt.Errorf("the state file can't be read: %w", err)
	}
	// What a failed fsync of an earlier process left in the page cache is not
	// on the disk; it must not be taken for what is.
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	r := newReader(f, written(f, info.Size()))
	img := read(r, values)
	img.Path = path
	if r.err != nil && img.Err == nil {
		img.Worn = true // what could not be read stands elsewhere in the file
	}
	return img, nil
}

// Verify reads a file, which must be there, be whole and go up to p.
func Verify(path string, p Position) error {
	if _, err := os.Lstat(path); err != nil {
		return fmt.Errorf("it was written and can't be found: %w", err)
	}
	img, err := Check(path)
	if err != nil {
		return err
	}
	defer img.Close()
	if img.reader.err != nil || !img.EndsWell(p) {
		return errors.Join(img.reader.err, fmt.Errorf("%s reads back other than it was written (%w)", path, ErrDamaged))
	}
	return nil
}

// Head reads the head of a file that is written no more, as a backup is, and says whether
// the rest of it is there. That it was whole when it was made is known: reading all of
// them at each start would cost more than opening the store.
func Head(path string) (format string, acked uint64, whole bool) {
	f, info, err := openRegular(path)
	if err != nil {
		return "", 0, false
	}
	defer func() { _ = f.Close() }()
	r := newReader(f, info.Size())
	h, ok := readHead(r.begin(), 0)
	return h.format, h.acked, ok && r.err == nil && h.room == info.Size()
}

// openRegular opens a file to read it, and nothing for which it would have to wait.
func openRegular(path string) (*os.File, fs.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file", path)
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, info, nil
}

// largeFile is from where on it is asked how much of a file was written.
const largeFile = 64 << 20

// written is how much of a file there is to read: not the hole by which somebody has
// made it longer than memory is.
func written(f *os.File, size int64) int64 {
	if size <= largeFile {
		return size
	}
	end := int64(0)
	for end < size {
		data, err := unix.Seek(int(f.Fd()), end, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break
		}
		hole, herr := unix.Seek(int(f.Fd()), data, unix.SEEK_HOLE)
		if err != nil || herr != nil {
			return size // this file system knows of no holes
		}
		end = hole
	}
	begin := newReader(f, size).begin()
	for slot := range lanes { // zeros at its end may be a hole, too
		if h, ok := readHead(begin, slot); ok {
			end = max(end, h.room)
		}
	}
	return min(size, end)
}
