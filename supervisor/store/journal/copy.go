package journal

import (
	"cmp"
	"errors"
	"hash/crc32"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// PartSuffix is of a copy that is not whole yet.
const PartSuffix = ".part"

// Copy makes a copy of what was read durable at path, or leaves nothing there. It has no
// room at its end, its heads say so, and its format is that one.
func Copy(img *Image, path, format string) (err error) {
	part := path + PartSuffix
	defer func() {
		if err != nil {
			_ = os.Remove(part)
		}
	}()
	f, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	length := max(headers, min(lengthFor(img.end), int64(img.Length)))
	whole := img.reader.err == nil // or what is missing of it was found missing before
	sum, err := img.writeInto(f, length, format)
	if err == nil && whole {
		err = img.reader.err // the disk no longer gives what it gave
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = readsBack(f, length, sum)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(part, path)
}

// writeInto writes a copy of that length, and returns its checksum.
func (img *Image) writeInto(f *os.File, length int64, format string) (sum uint32, err error) {
	write := func(b []byte, at int64) error {
		sum = crc32.Update(sum, castagnoli, b)
		_, err := f.WriteAt(b, at)
		return err
	}
	begin := make([]byte, headers)
	for slot := range lanes {
		copy(begin[slot*block:], head{format, img.Sequence, length}.encode())
	}
	err = write(begin, 0)
	for at := int64(headers); err == nil && at < length; at += stripe {
		b := img.reader.stripe((at - headers) / stripe)
		err = write(b[:min(int64(len(b)), length-at)], at)
	}
	return sum, err
}

// readsBack sees whether a file that was synced holds what was written, and nothing else.
func readsBack(f *os.File, length int64, sum uint32) error {
	errOther := errors.New("the copy reads back other than it was written")
	if info, err := f.Stat(); err != nil || info.Size() != length {
		return cmp.Or(err, errOther)
	}
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) // from the disk, and not from memory
	back := crc32.New(castagnoli)
	if _, err := io.Copy(back, io.NewSectionReader(f, 0, length)); err != nil {
		return err
	}
	if back.Sum32() != sum {
		return errOther
	}
	return nil
}
