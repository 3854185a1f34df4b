package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk/crashpoint"
)

// Slot is the place of one attempt. It is safe for concurrent use.
type Slot struct {
	mu     sync.Mutex
	path   string
	file   *os.File
	header header
	answer []byte
	// length is how many bytes of the file hold something to be overwritten.
	length int64
	fresh  freshFile
	// fault is why the answer is in memory alone.
	fault error
}

// freshFile makes a new slot file for an answer whose own file failed.
type freshFile func() (path string, f *os.File, err error)

func createFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	if err := preallocate(f); err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(path))
	}
	return f, nil
}

// preallocate fills a slot's file with zeros. They are really written: a file
// system may still refuse blocks that were only reserved.
func preallocate(f *os.File) error {
	_, err := f.WriteAt(make([]byte, slotSize), 0)
	return errors.Join(err, f.Sync())
}

func createSlot(path string, fresh freshFile) (*Slot, error) {
	f, err := createFile(path)
	if err != nil {
		return nil, err
	}
	return &Slot{path: path, file: f, fresh: fresh}, nil
}

// errUnreadable: the file is not blank, and whose it is can't be told.
var errUnreadable = errors.New("the spool slot is damaged")

func openSlot(path string, fresh freshFile) (slot *Slot, inUse bool, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, false, err
	}
	b, err := io.ReadAll(io.LimitReader(f, answerOffset+frameHead+maxPayload))
	if err != nil {
		return nil, false, errors.Join(err, f.Close())
	}
	slot = &Slot{path: path, file: f, fresh: fresh}
	slot.header, slot.answer, inUse = decodeSlot(b)
	if slot.answer != nil {
		slot.header.Progress = Answered
	}
	if inUse {
		slot.length = int64(len(b))
		return slot, true, nil
	}
	if slices.ContainsFunc(b, func(c byte) bool { return c != 0 }) {
		return nil, false, errors.Join(errUnreadable, f.Close())
	}
	if len(b) < slotSize { // a crash cut its making short
		if err := preallocate(f); err != nil {
			return nil, false, errors.Join(err, f.Close())
		}
	}
	return slot, false, nil
}

func (s *Slot) begin(h Header) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = nil
	return s.writeHeader(header{Header: h, Progress: Begun, BegunAt: time.Now().Round(0)})
}

// writeHeader does not sync: a header matters after the death of a process,
// which the page cache survives; after the death of the machine the
// supervisor's own record of the attempt decides.
func (s *Slot) writeHeader(h header) error {
	b, err := encodeHeader(h)
	if err != nil {
		return err
	}
	if _, err := s.file.WriteAt(b, 0); err != nil {
		return err
	}
	s.header = h
	s.length = max(s.length, answerOffset)
	return nil
}

func (s *Slot) entry() Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Entry{Header: s.header.Header, Progress: s.header.Progress, BegunAt: s.header.BegunAt}
}

// BegunAt is when the slot was taken.
func (s *Slot) BegunAt() time.Time { return s.entry().BegunAt }

// Progress is how far the attempt came.
func (s *Slot) Progress() Progress { return s.entry().Progress }

// Answer returns what [Slot.Record] was given, in this process or in one
// before it.
func (s *Slot) Answer() ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.answer, s.answer != nil
}

// Advance notes how far the attempt came: [Ready] or [Sent]. An error means
// that the note is not there and nothing may be sent.
func (s *Slot) Advance(p Progress) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.header
	h.Progress = p
	return s.writeHeader(h)
}

// Record makes the answer durable. If the slot's own file fails it tries a
// new one: a file whose fsync failed is not trusted again. When that fails
// too the answer is still held in memory, for [Slot.Answer] in this process,
// and the error says that a crash would now lose it.
func (s *Slot) Record(answer []byte) error {
	s.mu.Lock()
	s.answer = answer
	s.header.Progress = Answered
	err := s.write(s.file, answer)
	s.mu.Unlock()
	if err == nil {
		return nil
	}
	freshErr := s.recordAfresh(answer)
	if freshErr == nil {
		return nil
	}
	err = fmt.Errorf("spool the broker's answer: %w", errors.Join(err, freshErr))
	s.mu.Lock()
	s.fault = err
	s.mu.Unlock()
	return err
}

// Fault is the error of the last [Slot.Record], if it failed.
func (s *Slot) Fault() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fault
}

func (s *Slot) recordAfresh(answer []byte) error {
	// Not under the slot's lock: the spool takes its own first and then the
	// slots'.
	path, f, err := s.fresh()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.write(f, answer); err != nil {
		return errors.Join(err, f.Close(), os.Remove(path))
	}
	_ = s.file.Close()
	_ = os.Remove(s.path)
	s.file, s.path = f, path
	return nil
}

// write puts header and answer into f with one sync.
func (s *Slot) write(f *os.File, answer []byte) error {
	head, err := encodeHeader(s.header)
	if err != nil {
		return err
	}
	b := append(head, encodeFrame(answerMagic, s.header.Attempt, answer)...)
	crashpoint.Here("spool: the answer is in memory")
	if _, err := f.WriteAt(b, 0); err != nil {
		return err
	}
	s.length = max(s.length, int64(len(b)))
	crashpoint.Here("spool: the answer is written, not synced")
	if err := unix.Fdatasync(int(f.Fd())); err != nil {
		return err
	}
	crashpoint.Here("spool: the answer is durable")
	return nil
}

func (s *Slot) clear() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	crashpoint.Here("spool: about to clear the slot")
	if _, err := s.file.WriteAt(make([]byte, s.length), 0); err != nil {
		return err
	}
	crashpoint.Here("spool: the slot is cleared")
	s.header, s.answer, s.length, s.fault = header{}, nil, 0, nil
	return nil
}

// remove takes the slot's file off the disk.
func (s *Slot) remove() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.file.Close()
	if err := os.Remove(s.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// putAside gives the slot's file a name that no slot has.
func (s *Slot) putAside(path string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := os.Rename(s.path, path); err != nil {
		return err
	}
	return s.file.Close()
}

type slotKey struct{}

// NewContext returns a context that carries the slot of the attempt under way.
func NewContext(ctx context.Context, s *Slot) context.Context {
	return context.WithValue(ctx, slotKey{}, s)
}

// FromContext returns the slot of the attempt under way. There is none when a
// provider is called without [sdk.Serve], as in a unit test.
func FromContext(ctx context.Context) (*Slot, bool) {
	s, ok := ctx.Value(slotKey{}).(*Slot)
	return s, ok
}
