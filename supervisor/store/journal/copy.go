package journal

import (
	"errors"
	"os"
)

// PartSuffix is of a copy that is not whole yet.
const PartSuffix = ".part"

// Copy makes a copy of what was read durable at path, or leaves nothing there. It has no
// room at its end, its heads say so, and its format is that one. It is read back, from the
// disk, and must be as good as what was read.
func Copy(img *Image, path, format string) (err error) {
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
	whole := img.reader.err == nil // or what is missing of it was found missing before
	err = img.writeInto(f, format)
	if err == nil && whole {
		err = img.reader.err // the disk no longer gives what it gave
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	back, err := Check(part)
	if err != nil {
		return err
	}
	defer back.Close()
	if back.Position != img.Position || !back.Good() || img.EndsWell(img.Position) && !back.EndsWell(img.Position) {
		return errors.New("the copy reads back other than it was written")
	}
	return os.Rename(part, path)
}

// writeInto writes a copy of what was read.
func (img *Image) writeInto(f *os.File, format string) error {
	length := max(headers, min(lengthFor(img.end), int64(img.Length)))
	begin := make([]byte, headers)
	for slot := range lanes {
		copy(begin[slot*block:], head{format, img.Sequence, length}.encode())
	}
	_, err := f.WriteAt(begin, 0)
	for at := int64(headers); err == nil && at < length; at += stripe {
		b := img.reader.stripe((at - headers) / stripe)
		_, err = f.WriteAt(b[:min(int64(len(b)), length-at)], at)
	}
	return err
}
