package journal

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// PartSuffix is of a copy that is not whole yet.
const PartSuffix = ".part"

// Copy makes a copy of what was read durable at path, or leaves nothing there. It has no
// room at its end, its heads say so, and its format is that one.
func Copy(img *Image, path, format string) (err error) {
	length := min(lengthFor(img.end), int64(len(img.bytes)))
	begin := bytes.Clone(img.bytes[:min(headers, length)])
	for slot := range lanes {
		copy(begin[slot*block:], head{format, img.Sequence, length}.encode())
	}
	parts := [][]byte{begin, img.bytes[len(begin):length]}
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
	at := int64(0)
	for _, b := range parts {
		if err == nil {
			_, err = f.WriteAt(b, at)
			at += int64(len(b))
		}
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = readsBack(f, parts)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(part, path)
}

// readsBack sees whether a file that was synced holds what was written, and nothing else.
func readsBack(f *os.File, parts [][]byte) error {
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) // from the disk, and not from memory
	errOther := errors.New("the copy reads back other than it was written")
	piece := make([]byte, stripe)
	at := int64(0)
	for _, b := range parts {
		for len(b) > 0 {
			n := min(len(b), len(piece))
			read, err := f.ReadAt(piece[:n], at)
			if err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			// What is behind them is of the stripe before, which may be the same.
			if !bytes.Equal(piece[:read], b[:n]) {
				return errOther
			}
			b, at = b[n:], at+int64(n)
		}
	}
	if info, err := f.Stat(); err != nil || info.Size() != at {
		return cmp.Or(err, errOther)
	}
	return nil
}
