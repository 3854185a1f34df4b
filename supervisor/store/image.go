package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// image is what the bytes of a state file hold, as far as they can be read: every
// frame of which one copy is whole, wherever it stands.
type image struct {
	// values is the newest of each key, and at where in the log it stands.
	values map[string]placed
	position
	format string
	// acked is what the heads say was acknowledged.
	acked uint64
	// length of the file, and end of its log.
	length int
	end    int64
	// fresh is where its newest snapshot ends: end as it was when the file was made.
	fresh int64
	// frames are those that were found, oldest first.
	frames []frame
	// torn are frames of which a power loss has left one copy.
	torn []piece
	// gap is where in the log something is missing last; none of what stands
	// before it is known to be the newest.
	gap int64
	// worn: nothing is missing, but not every frame has both of its copies.
	worn bool
	// sealed counts the values that are sealed.
	sealed int
	// moved says where the store is now; "": it is this one.
	moved string
	// empty: nothing is in it.
	empty bool
	// err is why the file is not believed as a whole: ErrDamaged or ErrNewerFormat.
	err error
}

type placed struct {
	value []byte
	at    int64
}

type piece struct {
	bytes []byte
	at    int64
}

// readImage reads what a file holds. It believes nothing that it can't check, and
// always ends.
func readImage(file []byte) *image {
	img := &image{values: map[string]placed{}, format: formatVersion, length: len(file), gap: -1, empty: len(file) == 0}
	if img.empty {
		return img
	}
	var errs []error
	newest, heads := head{}, 0
	for slot := range lanes {
		if h, ok := readHead(file, slot); ok {
			heads++
			if h.acked >= newest.acked {
				newest, img.format = h, h.format
			}
		}
	}
	img.worn, img.acked = heads < lanes, newest.acked
	if _, err := checkFormat(img.format); errors.Is(err, ErrNewerFormat) {
		img.err = err
		return img
	} else if err != nil {
		errs = append(errs, err)
	}
	r := reader{file: file}
	for at, missing := int64(0), false; ; {
		f, ok := r.frame(at, img.position)
		if !ok {
			next := r.resync(at+1, img.position)
			if next < 0 {
				break
			}
			at, missing = next, true
			continue
		}
		if f.newer {
			img.err = fmt.Errorf("%w; run the newer program again, or restore a backup of the older one", ErrNewerFormat)
			return img
		}
		if missing || f.prev != img.sum {
			img.gap, missing = at, false
			errs = append(errs, fmt.Errorf("something is missing before transaction %d", f.sequence))
		}
		if err := img.take(f.frame, at); err != nil {
			errs = append(errs, err)
		}
		at += int64(f.size)
		if img.end = at; f.kind == frameReset || f.kind == frameMore {
			img.fresh = at
		}
		if f.copies < lanes {
			// The last one was cut off by a power loss; any other is damage that
			// costs nothing yet.
			if r.resync(at, img.position) < 0 {
				img.torn = append(img.torn, piece{f.bytes, at - int64(f.size)})
			} else {
				img.worn = true
			}
		}
	}
	switch {
	case heads == 0:
		errs = append(errs, errors.New("neither of its heads is whole"))
		img.gap = math.MaxInt64
	case len(file) < int(newest.room):
		errs = append(errs, errors.New("it is cut off"))
		img.gap = math.MaxInt64
	case img.sequence < newest.acked:
		errs = append(errs, fmt.Errorf("transaction %d was acknowledged, and is gone", newest.acked))
		img.gap = math.MaxInt64
	}
	if img.sealed > 0 {
		img.err = fmt.Errorf("%w: %d of its values are sealed in a way that this one does not know", ErrNewerFormat, img.sealed)
		return img
	}
	if len(errs) > 0 {
		img.err = fmt.Errorf("%w: %w", ErrDamaged, errors.Join(errs[:min(len(errs), 8)]...))
	}
	return img
}

// take adds what a frame changes.
func (img *image) take(f frame, at int64) error {
	img.position = position{f.sequence, f.sum}
	img.frames = append(img.frames, f)
	switch f.kind {
	case frameMoved:
		img.moved = string(f.body)
		return nil
	case frameReset:
		clear(img.values)
	}
	entries, ok := f.entries()
	for _, e := range entries {
		switch {
		case e.value == nil:
			delete(img.values, e.key)
		case e.sealed != notSealed:
			img.sealed++
		default:
			img.values[e.key] = placed{e.value, at}
		}
	}
	if !ok {
		return fmt.Errorf("transaction %d is not what anybody wrote", f.sequence)
	}
	return nil
}

// newest says whether what is under a key is surely the newest that was stored there.
func (img *image) newest(key string) bool { return img.values[key].at >= img.gap }

// good says whether the file is believed as a whole.
func (img *image) good() bool { return img.err == nil && !img.empty }

// reader finds frames in the two lanes of a file.
type reader struct{ file []byte }

// copied is a frame that was found, with its bytes.
type copied struct {
	frame
	bytes []byte
	// copies of it that are whole.
	copies int
}

// frame returns the frame at a place of the log: of two that differ, the one that was
// written after last. What can't have been is of an earlier time, or of another place.
func (r reader) frame(at int64, last position) (best copied, ok bool) {
	for lane := range lanes {
		f, b, whole := r.in(lane, at)
		switch {
		case !whole || !f.after(last):
		case ok && f.sum == best.sum:
			best.copies++
		case !ok || f.prev == last.sum && best.prev != last.sum:
			best, ok = copied{f, b, 1}, true
		}
	}
	return best, ok
}

// after says whether the frame may have been written after last, though perhaps not as
// the next one.
func (f frame) after(last position) bool {
	return f.prev == last.sum || f.sequence > last.sequence || f.sequence == last.sequence && f.kind == frameMore
}

func (r reader) in(lane int, at int64) (f frame, b []byte, whole bool) {
	if !r.marked(lane, at) {
		return f, nil, false
	}
	if f, whole = decodeHead(r.bytes(lane, at, frameHead)); !whole {
		return f, nil, false
	}
	if b = r.bytes(lane, at, f.size); b == nil {
		return f, nil, false
	}
	return f, b, f.check(b)
}

// bytes returns n bytes of a lane; nil if the file does not have them.
func (r reader) bytes(lane int, at int64, n int) []byte {
	if physical(lane, at+int64(n)-1) >= int64(len(r.file)) {
		return nil
	}
	if at%stripe+int64(n) <= stripe {
		from := physical(lane, at)
		return r.file[from:][:n:n]
	}
	b := make([]byte, 0, n)
	for len(b) < n {
		m := min(int64(n-len(b)), stripe-at%stripe)
		b = append(b, r.file[physical(lane, at):][:m]...)
		at += m
	}
	return b
}

// resync returns where in the log the next whole frame is that was written after last;
// below zero: there is none.
func (r reader) resync(at int64, last position) int64 {
	for ; physical(0, at) < int64(len(r.file)); at++ {
		if !r.marked(0, at) && !r.marked(1, at) {
			continue
		}
		if _, ok := r.frame(at, last); ok {
			return at
		}
	}
	return -1
}

// marked says whether the byte there is one that a frame begins with.
func (r reader) marked(lane int, at int64) bool {
	first := physical(lane, at)
	return first < int64(len(r.file)) && r.file[first] == frameMark[0]
}

// readFile reads a whole file. Parts that the disk does not give are zeros in
// it, and err then is the disk's word.
func readFile(path string) (b []byte, err error) {
	f, info, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	// What a failed fsync of an earlier process left in the page cache is not
	// on the disk; it must not be taken for what is.
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	b = make([]byte, written(f, info.Size()))
	if _, err := io.ReadFull(f, b); err == nil {
		return b, nil
	}
	for at := 0; at < len(b); at += block {
		n := min(block, len(b)-at)
		if _, rerr := f.ReadAt(b[at:at+n], int64(at)); rerr != nil {
			clear(b[at : at+n])
			err = rerr
		}
	}
	return b, err
}

// openRegular opens a file, and nothing for which it would have to wait.
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
	for at := int64(0); at < size; {
		data, err := unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break
		}
		hole, herr := unix.Seek(int(f.Fd()), data, unix.SEEK_HOLE)
		if err != nil || herr != nil {
			return size // this file system knows of no holes
		}
		end, at = hole, hole
	}
	_, _ = unix.Seek(int(f.Fd()), 0, unix.SEEK_SET)
	heads := make([]byte, headers)
	if _, err := f.ReadAt(heads, 0); err == nil {
		for slot := range lanes { // zeros at its end may be a hole, too
			if h, ok := readHead(heads, slot); ok {
				end = max(end, h.room)
			}
		}
	}
	return min(size, end)
}

// source is a file that holds the store, or may have held it.
type source struct {
	path string
	file []byte
	*image
	// state is what the values are, in types.
	state *state
}

// readSource reads the file at path. One that does not exist is empty. An
// error means that nothing can be said about it.
func readSource(path string) (source, error) {
	file, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return source{path: path, image: readImage(nil), state: newState()}, nil
	}
	if err != nil && file == nil {
		return source{}, fmt.Errorf("the state file can't be read: %w", err)
	}
	s := source{path: path, file: file, image: readImage(file), state: newState()}
	if err != nil && s.image.err == nil {
		s.worn = true // what could not be read stands elsewhere in the file
	}
	if s.image.err == nil || !errors.Is(s.image.err, ErrNewerFormat) {
		s.decode()
	}
	return s, nil
}

// decode makes typed values of what was read.
func (s *source) decode() {
	var errs []error
	for key, f := range s.values {
		if err := s.state.put(key, f.value); err != nil {
			errs = append(errs, err)
			delete(s.values, key)
		}
	}
	if len(errs) > 0 {
		s.err = fmt.Errorf("%w: %w", ErrDamaged, errors.Join(s.err, joinSorted(errs)))
	}
}
