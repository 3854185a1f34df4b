package journal

import (
	"bytes"
	"errors"
	"os"
)

// Copy makes a copy of what was read durable at path, or leaves nothing there. It has no
// room at its end, its heads say so, and its format is that one.
func Copy(img *Image, path, format string) (err error) {
	b := bytes.Clone(img.bytes[:min(lengthFor(img.end), int64(len(img.bytes)))])
	for slot := range lanes {
		copy(b[slot*block:], head{format, img.Sequence, int64(len(b))}.encode())
	}
	part := path + PartSuffix
	defer func() {
		if err != nil {
			_ = os.Remove(part)
		}
	}()
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	copied, err := readFile(part)
	if err != nil {
		return err
	}
	if !bytes.Equal(copied, b) {
		return errors.New("the copy reads back other than it was written")
	}
	return os.Rename(part, path)
}

// PartSuffix is of a copy that is not whole yet.
const PartSuffix = ".part"
