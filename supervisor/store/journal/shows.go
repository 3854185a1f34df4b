package journal

import (
	"cmp"
	"iter"
	"maps"
	"math"
	"slices"
)

// This file holds what a file shows of a key, which is compared with what others show of
// it where a store is put together again.

// Shows says whether a value stands in the file under a key, also one that can't be read,
// and up to which transaction that, or that none does, is known; 0: nothing is. What was
// written before a part that is missing is known for its own transaction, because what
// is missing may have changed it, and anything else for all that the file has.
func (img *Image) Shows(key string) (there bool, upTo uint64) {
	at := img.snapshot // which has all that there was
	if p, ok := img.values[key]; ok {
		there, at = true, p.at
	} else if unread, ok := img.unread[key]; ok {
		there, at = true, unread
	} else if deleted, ok := img.deletions()[key]; ok {
		at = deleted
	}
	switch {
	case at < 0:
		return there, 0
	case at >= img.gap:
		return there, img.Sequence
	}
	n, _ := slices.BinarySearchFunc(img.spots, at, func(s spot, at int64) int { return cmp.Compare(s.at, at) })
	return there, img.spots[n].Sequence
}

// deletions are where in the log the newest deletion of each key stands. They are read
// when somebody asks, because a good file is opened without them.
func (img *Image) deletions() map[string]int64 {
	if img.deleted != nil {
		return img.deleted
	}
	img.deleted = map[string]int64{}
	for _, there := range img.spots {
		f, _ := img.reader.again(there)
		for body := f.body; len(body) > 0; {
			e, rest, ok := cutEntry(body)
			if body = rest; ok && e.value == nil {
				img.deleted[string(e.key)] = there.at
			}
		}
	}
	return img.deleted
}

// EndKnown says whether the file goes as far as its heads say: it is no older copy of itself
// whose end is gone, whatever is missing before.
func (img *Image) EndKnown() bool { return img.gap < math.MaxInt64 }

// Unread are the keys under which a value stands that can't be read.
func (img *Image) Unread() iter.Seq[string] { return maps.Keys(img.unread) }
