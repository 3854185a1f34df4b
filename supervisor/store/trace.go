package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// displaced is what somebody else has done to the state file, or to its
// directory, while it is in use. What is written there from then on would be
// found by nobody, or by nobody whole.
type displaced string

func (d displaced) Error() string { return string(d) }

const (
	fileRemoved  displaced = "the state file was removed"
	fileReplaced displaced = "the state file was replaced by another"
	fileWritten  displaced = "something else has written into the state file"
	dirRemoved   displaced = "the state directory was removed"
	dirReplaced  displaced = "the state directory was replaced by another"
)

// whereIs looks at what path leads to, which should be the one that was. What
// can't be known does not count: info is nil then.
func whereIs(path string, one fs.FileInfo, removed, replaced displaced) (info fs.FileInfo, err error) {
	info, err = os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR):
		return nil, removed
	case err != nil:
		return nil, nil
	case one != nil && !os.SameFile(one, info):
		return nil, replaced
	}
	return info, nil
}

// trace is what a state file looks like from outside.
type trace struct {
	info fs.FileInfo
	// metas are the beginnings of its two meta pages, one of which changes
	// with every transaction.
	metas [2]metaHead
}

type metaHead [pageHead + metaSize]byte

func (h *metaHead) txid() uint64 {
	m, _, _ := (&pages{file: h[:]}).metaAt(0)
	return m.txid
}

// sameTimes says whether the file's length and times are those of the trace.
func (t trace) sameTimes(info fs.FileInfo) bool {
	return t.info.Size() == info.Size() && t.info.ModTime().Equal(info.ModTime())
}

// look returns the trace of the file as it is now.
func (b *boltBackend) look() (t trace, err error) {
	if t.info, err = b.file.Stat(); err != nil {
		return t, fmt.Errorf("looking at the state file: %w", err)
	}
	for n := range t.metas {
		// What is behind the end counts as zeros, which no meta page is.
		if _, err := b.file.ReadAt(t.metas[n][:], int64(n*b.pageSize)); err != nil && !errors.Is(err, io.EOF) {
			return t, fmt.Errorf("looking at the state file: %w", err)
		}
	}
	return t, nil
}

// leave notes how the transaction with that number has left the file. It must
// have changed one of the meta pages, and nobody else the other.
func (b *boltBackend) leave(txid uint64) error {
	now, err := b.look()
	if err != nil {
		return err
	}
	if now.metas[txid%2].txid() != txid || now.metas[1-txid%2] != b.left.metas[1-txid%2] {
		return fileWritten
	}
	b.left = now
	return nil
}
