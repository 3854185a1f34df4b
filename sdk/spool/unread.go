package spool

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Unread is an answer that nobody could read, and that was put aside.
type Unread struct {
	Header
	BegunAt time.Time
	// Path of the file, and how many bytes it has.
	Path string
	Size int64
	// Answer as it was recorded; nil: no whole one is in the file.
	Answer []byte

	header header
	behind []byte // what is in the file behind the header
}

// Of is the file's content as one that says that the answer is the account's.
func (u Unread) Of(account string) ([]byte, error) {
	if u.Attempt == "" {
		return nil, fmt.Errorf("%s does not say whose it is", u.Path)
	}
	h := u.header
	h.Account = account
	b, err := encodeHeader(h)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", u.Path, err)
	}
	return append(b, u.behind...), nil
}

// UnreadPath is where the unread answer of an attempt is put in a spool's
// directory.
func UnreadPath(dir, attempt string) string {
	return filepath.Join(dir, asidePrefix+url.PathEscape(attempt))
}

// ErrNotUnread: the file is none that a spool has put aside.
var ErrNotUnread = errors.New("it is no answer that was put aside")

// ReadUnread reads a file that was put aside. It holds no lock: such a file is
// never written again. A header that can't be read leaves Header empty.
func ReadUnread(path string) (Unread, error) {
	if !strings.HasPrefix(filepath.Base(path), asidePrefix) {
		return Unread{}, fmt.Errorf("%s: %w", path, ErrNotUnread)
	}
	return readFile(path)
}

// readFile reads a slot's file, or one that was put aside.
func readFile(path string) (Unread, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return Unread{}, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return Unread{}, err
	}
	if !info.Mode().IsRegular() {
		return Unread{}, fmt.Errorf("%s: %w", path, ErrNotUnread)
	}
	b, err := io.ReadAll(io.LimitReader(f, answerOffset+frameHead+maxPayload))
	if err != nil {
		return Unread{}, err
	}
	h, answer, _ := decodeSlot(b)
	return Unread{
		Header: h.Header, BegunAt: h.BegunAt, Path: path, Size: info.Size(), Answer: answer, header: h, behind: b[min(len(b), answerOffset):],
	}, nil
}

// ListUnread reads the files that were put aside in a spool's directory, the
// newest first. A directory that is missing has none.
func ListUnread(dir string) ([]Unread, error) { return listFiles(dir, asidePrefix) }

// ListSlots reads, without a lock, the slots of a spool's directory that are in use, the
// newest first: what it finds may change meanwhile. A directory that is missing has none.
func ListSlots(dir string) ([]Entry, error) {
	files, err := listFiles(dir, slotPrefix)
	var all []Entry
	for _, f := range files {
		if f.Attempt != "" {
			all = append(all, Entry{Header: f.Header, Progress: f.header.Progress, BegunAt: f.BegunAt})
		}
	}
	return all, err
}

// listFiles reads those whose names begin so, the newest first.
func listFiles(dir, prefix string) ([]Unread, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var all []Unread
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), prefix) {
			continue
		}
		u, err := readFile(filepath.Join(dir, e.Name()))
		if errors.Is(err, os.ErrNotExist) {
			continue // thinned out meanwhile
		} else if err != nil {
			return nil, err
		}
		all = append(all, u)
	}
	slices.SortFunc(all, func(a, b Unread) int { return b.BegunAt.Compare(a.BegunAt) })
	return all, nil
}
