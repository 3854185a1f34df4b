package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"time"
)

// Image is what a state file holds, as far as it can be read: every frame of which one
// copy is whole, wherever it stands. Where that is, is in memory; the values are read from
// the file, which stays open until Close, when somebody asks for them.
type Image struct {
	Path   string
	reader *reader
	// values says of each key where its newest value is; nil: nobody will ask.
	values map[string]placed
	// spots are where the frames stand that have values, in the order in which they were
	// written.
	spots []spot
	// history is both of what stands before the newest snapshot, in case that is not there as
	// a whole.
	history struct {
		values map[string]placed
		spots  []spot
	}
	// Position is how far the file goes.
	Position
	Format string
	// Acked is the transaction up to which the heads say that it was acknowledged.
	Acked uint64
	// Length of the file, and end of its log.
	Length int
	end    int64
	// fresh is where its newest snapshot ends: end as it was when the file was made.
	fresh int64
	// snapshot is where its newest snapshot begins, which is there as a whole; below zero:
	// none is.
	snapshot int64
	// unread says of each key whose value can't be read where that stands.
	unread map[string]int64
	// deleted says of each key that is gone where that was done; nil: nobody has asked.
	deleted map[string]int64
	// transactions are how many frames were found, and newest is when the last was made.
	transactions int
	newest       time.Time
	// torn are frames of which a power loss has left one copy, and worn those that are
	// damaged in one: both are put right by Open. lost are heads that are not whole.
	torn, worn []piece
	lost       []int
	// gap is where in the log something is missing last; none of what stands
	// before it is known to be the newest.
	gap int64
	// Worn: nothing is missing, but not every frame has both of its copies.
	Worn bool
	// Sealed counts the values that are sealed.
	Sealed int
	// Moved says where the store is now; "": it is this one.
	Moved string
	// Empty: nothing is in it.
	Empty bool
	// Err is why the file is not believed as a whole: ErrDamaged or ErrNewerFormat.
	Err error
}

// placed is where in the log the frame begins that has a key's newest value.
type placed struct {
	key string
	at  int64
}

// spot is where in the log a frame stands, and which it is.
type spot struct {
	at int64
	Position
}

// piece is a frame that one lane alone has.
type piece struct {
	bytes []byte
	at    int64
	lane  int
}

// ReadBytes reads what is in the bytes of a file.
func ReadBytes(file []byte) *Image {
	return read(newReader(bytes.NewReader(file), int64(len(file))), map[string]placed{})
}

// read reads what a file holds, and notes in values, if that is not nil, where each stands.
// It believes nothing that it can't check, and always ends.
func read(r *reader, values map[string]placed) *Image {
	img := &Image{
		reader: r, values: values, unread: map[string]int64{}, Format: Version, Length: int(r.size), gap: -1, snapshot: -1, Empty: r.size == 0,
	}
	if img.Empty {
		return img
	}
	var errs []error
	begin, newest := r.begin(), head{format: Version}
	for slot := range lanes {
		if h, ok := readHead(begin, slot); !ok {
			img.lost = append(img.lost, slot)
		} else if h.acked >= newest.acked {
			newest = h
		}
	}
	img.Worn, img.Acked, img.Format = len(img.lost) > 0, newest.acked, newest.format
	if _, err := CheckFormat(img.Format); errors.Is(err, ErrNewerFormat) {
		img.Err = err
		return img
	} else if err != nil {
		errs = append(errs, err)
	}
	for at, missing := int64(0), false; ; {
		f, ok := r.frame(at, img.Position)
		if !ok {
			next := r.resync(at+1, img.Position)
			if next < 0 {
				break
			}
			at, missing = next, true
			continue
		}
		if f.newer {
			img.Err = errNewer
			return img
		}
		if missing || f.prev != img.sum {
			img.gap, missing = at, false
			img.recall() // what is missing may be the rest of a snapshot
			errs = append(errs, fmt.Errorf("something is missing before transaction %d", f.sequence))
		}
		if err := img.take(f.Frame, at); errors.Is(err, ErrNewerFormat) {
			img.Err = err
			return img
		} else if err != nil {
			errs = append(errs, err)
		}
		at += int64(f.size)
		if img.end = at; f.kind == frameReset || f.kind == frameMore {
			img.fresh = at
		}
		if f.copies < lanes {
			// The last one was cut off by a power loss; any other is damage that
			// costs nothing yet.
			one := piece{bytes.Clone(f.bytes), at - int64(f.size), f.lane}
			if r.resync(at, img.Position) < 0 {
				img.torn = append(img.torn, one)
			} else {
				img.worn, img.Worn = append(img.worn, one), true
			}
		}
	}
	switch {
	case len(img.lost) == lanes:
		errs = append(errs, errors.New("neither of its heads is whole"))
		img.gap = math.MaxInt64
	case r.size < newest.room:
		errs = append(errs, errors.New("it is cut off"))
		img.gap = math.MaxInt64
	case img.Sequence < newest.acked:
		errs = append(errs, fmt.Errorf("transaction %d was acknowledged, and is gone", newest.acked))
		img.gap = math.MaxInt64
	}
	if img.Sealed > 0 {
		img.Err = fmt.Errorf("%w: %d of its values are sealed in a way that this one does not know", ErrNewerFormat, img.Sealed)
		return img
	}
	if img.gap == math.MaxInt64 {
		img.recall() // as above
	}
	if len(errs) > 0 {
		img.Err = fmt.Errorf("%w: %w", ErrDamaged, errors.Join(errs[:min(len(errs), 8)]...))
	}
	return img
}

// take adds what a frame changes.
func (img *Image) take(f Frame, at int64) error {
	last := img.Position
	img.Position = Position{f.sequence, f.sum}
	img.transactions, img.newest = img.transactions+1, f.at
	switch f.kind {
	case frameMoved:
		img.Moved = string(f.body)
		return nil
	case frameReset:
		if img.history.values, img.history.spots = img.values, img.spots; img.values != nil {
			img.values = map[string]placed{}
		}
		img.spots, img.snapshot = nil, at
	case frameMore:
		if f.prev != last.sum || f.sequence == last.Sequence {
			break
		}
		// All of a snapshot is of the moment that its last frame has the number of.
		for n := len(img.spots) - 1; n >= 0 && img.spots[n].Sequence == last.Sequence; n-- {
			img.spots[n].Sequence = f.sequence
		}
	}
	img.spots = append(img.spots, spot{at, img.Position})
	for body := f.body; len(body) > 0; {
		e, rest, ok := cutEntry(body)
		switch {
		case !ok && newerEntry(body):
			return errNewer
		case !ok:
			return fmt.Errorf("transaction %d is not what anybody wrote", f.sequence)
		}
		body = rest
		switch {
		case e.value == nil:
			delete(img.values, string(e.key))
		case e.sealed != notSealed:
			img.Sealed++
		case img.values != nil:
			before, ok := img.values[string(e.key)]
			if !ok {
				before.key = string(e.key)
			}
			img.values[before.key] = placed{before.key, at}
		}
	}
	return nil
}

// recall goes back to what stands before a snapshot that has only just been read and is not
// there as a whole, where that does not have anything else.
func (img *Image) recall() {
	if img.end != img.fresh {
		return
	}
	for key, p := range img.history.values {
		if _, newer := img.values[key]; !newer {
			img.values[key] = p
		}
	}
	img.spots = append(img.history.spots, img.spots...)
	img.snapshot, img.history.values, img.history.spots = -1, nil, nil
}

// Newest says whether what is under a key is surely the newest that was stored there.
func (img *Image) Newest(key string) bool { return img.values[key].at >= img.gap }

// All are the values, by their keys, in the order in which they stand in the file. A value
// is good until the next one.
func (img *Image) All() iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		counts := map[int64]bool{}
		for _, p := range img.values {
			counts[p.at] = true
		}
		for _, there := range img.spots {
			if !counts[there.at] {
				continue // all that it says is over
			}
			f, ok := img.reader.again(there)
			if !ok {
				img.lose(there.at)
				continue
			}
			for body := f.body; len(body) > 0; {
				e, rest, ok := cutEntry(body)
				if body = rest; !ok || e.value == nil {
					continue
				}
				if p, newest := img.values[string(e.key)]; newest && p.at == there.at && !yield(p.key, e.value) {
					return
				}
			}
		}
	}
}

// lose takes out what the file has given once, and does not give again.
func (img *Image) lose(at int64) {
	var keys []string
	for key, p := range img.values {
		if p.at == at {
			keys = append(keys, key)
		}
	}
	img.Refuse(keys, errors.New("a part of it reads otherwise the second time"))
}

// Close lets go of the file, of which nothing can be read any more.
func (img *Image) Close() {
	if f, ok := img.reader.file.(io.Closer); ok {
		_ = f.Close() // it was read alone
	}
}

// Refuse takes keys out, because what stands under them can't be read, or means nothing.
func (img *Image) Refuse(keys []string, err error) {
	for _, key := range keys {
		img.unread[key] = img.values[key].at
		delete(img.values, key)
	}
	img.Err = fmt.Errorf("%w: %w", ErrDamaged, errors.Join(img.Err, err))
}

// Transactions that stand in the file, and when the newest of them was made.
func (img *Image) Transactions() (n int, newest time.Time) { return img.transactions, img.newest }

// EndsWell says whether a file is whole, in both of its copies, and goes up to p.
func (img *Image) EndsWell(p Position) bool {
	return img.Good() && !img.Worn && len(img.torn) == 0 && img.Position == p
}

// Good says whether the file is believed as a whole.
func (img *Image) Good() bool { return img.Err == nil && !img.Empty }
