package spool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk/crashpoint"
	"github.com/tokenkeeper/tokenkeeper/sdk/files"
)

// Slot is the place of one attempt. It is safe for concurrent use.
type Slot struct {
	home *Spool

	mu     sync.Mutex
	place  *place
	path   string
	file   files.File
	header header
	answer []byte
	// length is how many bytes of the file hold something to be overwritten.
	length int64
	// left is the file in another place that the answer was moved away from:
	// it says that the attempt was begun, for the case that the new place is
	// lost; "": none.
	left string
	// broken: a write or a sync of the file has failed. It is not trusted
	// again, because the kernel may have forgotten what it could not write.
	broken bool
	// fault is why the answer is in memory alone.
	fault error
}

func createFile(sys files.System, path string) (files.File, error) {
	f, err := sys.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	if err := preallocate(f); err != nil {
		return nil, errors.Join(err, f.Close(), sys.Remove(path))
	}
	return f, nil
}

// preallocate fills a slot's file with zeros. They are really written: a file
// system may still refuse blocks that were only reserved.
func preallocate(f files.File) error {
	_, err := f.WriteAt(make([]byte, slotSize), 0)
	return errors.Join(err, f.Sync())
}

// lost says whether the slot's file is not found any more where it was made.
func (s *Slot) lost() bool { return gone(s.home.sys, s.path, s.file) }

// put writes a header, and notes it only if it is written where the next process
// finds it. It does not sync: a header matters after the death of a process, which
// the page cache survives; after the death of the machine the supervisor's own
// record of the attempt decides.
func (s *Slot) put(h header) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.note(h)
}

// note is put for a caller that holds the lock.
func (s *Slot) note(h header) error {
	b, err := encodeHeader(h)
	if err != nil {
		return err
	}
	if s.lost() {
		return errBroken
	}
	s.length = max(s.length, answerOffset)
	if _, err := s.file.WriteAt(b, 0); err != nil {
		s.broken = true
		return err
	}
	s.header = h
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

// ErrSent: a request of the attempt is under way, or was, and an attempt has one.
var ErrSent = errors.New("a request of this attempt was sent already")

// Advance notes how far the attempt came: [Ready], [Begun] or [Sent]. An error
// means that the note is not there and nothing may be sent. After [Sent] it is
// always [ErrSent].
func (s *Slot) Advance(p Progress) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.header
	if h.Progress == Sent || h.Progress == Answered {
		return ErrSent
	}
	h.Progress = p
	return s.note(h)
}

// Record makes the answer durable. If the slot's own file fails, or has failed
// before, it tries a new one, here or in the fallback. When that fails too the answer is still held in
// memory, for [Slot.Answer] in this process, and the error says that a crash
// would now lose it.
func (s *Slot) Record(answer []byte) error {
	s.mu.Lock()
	s.answer = answer
	s.header.Progress = Answered
	err := errBroken
	if !s.broken && !s.lost() {
		err = s.write(s.file, answer)
		s.broken = err != nil
	}
	s.mu.Unlock()
	if err != nil {
		if freshErr := s.recordAfresh(answer); freshErr != nil {
			err = fmt.Errorf("spool the broker's answer: %w", errors.Join(err, freshErr))
		} else {
			err = nil
		}
	}
	s.mu.Lock()
	s.fault = err
	s.mu.Unlock()
	return err
}

// errBroken: an earlier write into the slot's file has failed, or it is not
// found any more where it was made.
var errBroken = errors.New("the slot's file has failed before, or is gone")

// Fault is the error of the last [Slot.Record], if it failed.
func (s *Slot) Fault() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fault
}

// inMemoryAlone says whether no file has what the slot holds.
func (s *Slot) inMemoryAlone() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fault != nil || s.lost()
}

func (s *Slot) recordAfresh(answer []byte) error {
	// Not under the slot's lock: the spool takes its own first and then the
	// slots'.
	p, path, f, err := s.home.fresh()
	if err != nil {
		return err
	}
	removed, err := s.moveTo(p, path, f, answer)
	s.home.removed(removed)
	return err
}

// moveTo writes the answer into another file, and returns which one is none of the slot's
// any more: the one before, or that one if it takes nothing either; "": each still is.
func (s *Slot) moveTo(p *place, path string, f files.File, answer []byte) (removed string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.write(f, answer); err != nil {
		return path, errors.Join(err, f.Close(), s.home.sys.Remove(path))
	}
	theirs := s.lost() // another file may have its name now
	_ = s.file.Close()
	switch {
	case theirs:
		removed = s.path
	case p == s.place:
		_ = s.home.sys.Remove(s.path)
		removed = s.path
	default:
		s.left = s.path
	}
	s.place, s.file, s.path, s.broken = p, f, path, false
	return removed, nil
}

// write puts header and answer into f with one sync.
func (s *Slot) write(f files.File, answer []byte) error {
	if len(answer) > maxPayload {
		return fmt.Errorf("the answer has %d bytes, more than %d", len(answer), maxPayload)
	}
	head, err := encodeHeader(s.header)
	if err != nil {
		return err
	}
	b := append(head, encodeFrame(answerMagic, s.header.Attempt, answer)...)
	s.length = max(s.length, int64(len(b)))
	crashpoint.Here("spool: the answer is in memory")
	if _, err := f.WriteAt(b, 0); err != nil {
		return err
	}
	crashpoint.Here("spool: the answer is written, not synced")
	if err := f.Datasync(); err != nil {
		return err
	}
	crashpoint.Here("spool: the answer is durable")
	return nil
}

// in returns the place of the slot's file.
func (s *Slot) in() *place {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.place
}

// clear makes the slot free for another attempt. It fails for a file that has
// failed before.
func (s *Slot) clear() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken {
		return errBroken
	}
	s.removeLeft()
	crashpoint.Here("spool: about to clear the slot")
	if _, err := s.file.WriteAt(make([]byte, s.length), 0); err != nil {
		return err
	}
	crashpoint.Here("spool: the slot is cleared")
	s.header, s.answer, s.length = header{}, nil, 0
	return nil
}

// discard takes the slot's file off the disk, if that can be done.
func (s *Slot) discard() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.removeLeft()
	theirs := s.lost() // another file may have its name now
	_ = s.file.Close()
	if !theirs {
		_ = s.home.sys.Remove(s.path)
	}
	s.home.forgets(s.path)
}

func (s *Slot) removeLeft() {
	if s.left != "" {
		_ = s.home.sys.Remove(s.left)
		s.home.forgets(s.left)
		s.left = ""
	}
}

// putAside gives the slot's file a name that no slot has.
func (s *Slot) putAside(path string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.home.sys.Rename(s.path, path); err != nil {
		return err
	}
	s.home.forgets(s.path)
	s.removeLeft()
	_ = s.file.Close()
	return nil
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
