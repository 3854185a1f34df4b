package sharing

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/crashpoint"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Account is whose file it is.
type Account struct {
	sdk.Account
	// Path of the file.
	Path string
	// Answers is told when the disk of the file, which did not answer, does again; nil:
	// nobody is.
	Answers func()
	// Secret is the one of its client with a fingerprint, or the first if that is none of
	// them.
	Secret func(fingerprint string) sdk.Secret
	// Timeout of one attempt.
	Timeout time.Duration
	Voice   event.Voice
	Clock   *schedule.Clock
}

// Share is what an account and its shared file have to do with each other. What locks,
// reads and writes is for who has the account's lease; what tells how it stands is for
// everybody, asks nobody and waits for nobody.
type Share struct {
	event.Voice
	account Account
	file    *bounded
	// locked: the lock is held. It is of who has the account's lease.
	locked bool
	// past: our record is used although the file can't be read, while the lock is held.
	// It is of who has the account's lease, too.
	past bool
	// unproved counts how often in a row the file could not be replaced. It is of who
	// has the account's lease, too.
	unproved int

	mu sync.Mutex
	// locking: whoever is at work waits for the lock.
	locking bool
	// shut is why the lock can't be had, if it takes a person.
	shut string
	// outSince is since when, on the monotonic clock, others have held it whenever
	// it was tried; nil: they have not.
	outSince *time.Duration
	// asked is what a person has to decide about it.
	asked Question
	// zone is why the local times in it can't be right.
	zone string
	// lacks is what was wrong with it, as far as that was not put right; nil: nothing.
	lacks error
}

// New is the share of an account in a file.
func New(a Account, file File) *Share {
	s := &Share{Voice: a.Voice, account: a}
	s.file = newBounded(file, a.Path, func() time.Time { return a.Clock.Now().Wall }, func() {
		s.Over(event.DiskTrouble)
		if a.Answers != nil {
			a.Answers()
		}
	})
	return s
}

// IsLocked says whether the lock is held.
func (s *Share) IsLocked() bool { return s != nil && s.locked }

// Lock takes the file's lock, until release is called. The error is for [Share.ShutOut].
func (s *Share) Lock(ctx context.Context) (release func(), err error) {
	s.setLocking(true)
	giveBack, err := s.file.Lock(ctx)
	s.setLocking(false)
	if err != nil {
		return nil, err
	}
	crashpoint.Here("shared: locked")
	s.mu.Lock()
	s.shut, s.outSince = "", nil
	s.mu.Unlock()
	s.locked = true
	return func() {
		s.locked, s.past = false, false
		if err := giveBack(); err != nil {
			s.Log().Warn("the shared file's lock was not given back cleanly", "error", err)
		}
	}, nil
}

// setLocking notes that the account waits for the lock.
func (s *Share) setLocking(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.locking = on
}

// ShutOut notes that the lock could not be had. Long says whether that takes a person
// by now, and news that it is so for the first time.
func (s *Share) ShutOut(err error) (long, news bool) {
	now := s.account.Clock.Now().Mono
	s.mu.Lock()
	defer s.mu.Unlock()
	if long = lasts(err) || s.keptOut(err, now); long {
		news = s.shut == ""
		s.shut = err.Error()
	}
	return long, news
}

// keptOut says whether other programs, one after the other, have held the lock
// for long whenever it was tried. The caller holds the mutex.
func (s *Share) keptOut(err error, now time.Duration) bool {
	if _, held := errors.AsType[heldLock](err); !held {
		return false
	}
	if s.outSince == nil {
		s.outSince = &now
	}
	return now-*s.outSince >= heldLong
}

// Lend gives away a copy of the descriptor that carries the lock, if that is held.
func (s *Share) Lend(give func(fd int) error) error {
	if !s.IsLocked() {
		return nil
	}
	return s.file.Lend(give)
}

// keptLonger is how much longer than an attempt may take a shared file's lock is
// kept for whoever settles it.
const keptLonger = time.Minute

// Keep keeps the lock, if it is held, for the settling of an attempt whose process is
// lost: what the file holds may be spent.
func (s *Share) Keep() {
	if s.IsLocked() {
		s.file.Keep(s.account.Timeout + keptLonger)
	}
}

// Forgo gives back a lock that was kept for the settling of the account.
func (s *Share) Forgo() {
	if s != nil {
		s.file.Forgo()
	}
}

// Held says who keeps Lock waiting; nil: nobody is known to. It takes a while.
func (s *Share) Held() error { return s.file.Held() }

// Replaceable says why the file can't be read and replaced; nil: it can.
func (s *Share) Replaceable() error {
	if s == nil {
		return nil
	}
	if err := s.file.Replaceable(); err != nil {
		return err
	}
	return Unread{s}.why()
}

// Foresee tells of a file that can't be replaced, or not be read, so long before the
// token would be needed.
func (s *Share) Foresee() {
	err, then := s.file.Replaceable(), "this account is not refreshed"
	if _, observes := s.file.File.(OnlyRead); err == nil && !observes { // of which the status says what it would do
		err, then = Unread{s}.why(), "this account is refreshed only when its access token has expired, or its refresh token is about to end"
	}
	if err != nil {
		DiskTrouble(s, err, event.Event{Message: err.Error() + ". Until that is put right, " + then})
	}
}

// DiskTrouble tells of what err, of the file of s, means for the account, unless that is over by
// now: the disk may have answered after all.
func DiskTrouble(s *Share, err error, e event.Event) {
	e.Type = event.DiskTrouble
	s.Trouble(slog.LevelError, e)
	if errors.Is(err, ErrSilent) && !Silent(s) {
		s.Over(event.DiskTrouble)
	}
}

// Prove makes sure, before an attempt is announced, that the file can be replaced: a
// token that is spent while its successor can't be written leaves the other programs
// with a dead one. inRow counts how often it could not.
func (s *Share) Prove() (inRow int, err error) {
	if !s.IsLocked() {
		return 0, nil
	}
	if err := s.file.Prove(); err != nil {
		s.unproved++
		return s.unproved, err
	}
	s.unproved = 0
	return 0, nil
}

// ProveForLogin is Prove for a code, which a person has just got and which dies within
// seconds: it is spent in any case. It was asked before the login was begun whether the
// file can be replaced. If it can't by now, people are told: the login may end the grant
// that the file's other readers live on.
func (s *Share) ProveForLogin() {
	if !s.IsLocked() {
		return
	}
	if err := s.file.Prove(); err != nil {
		DiskTrouble(s, err, event.Event{
			Message: err.Error() + ". A login is under way, whose code can't wait: its token may not reach the shared file, " +
				"and the one that its other readers have may end with it",
		})
	}
}

// Silent says whether the disk of the file of s does not answer, so that a look now would
// come to nothing.
func Silent(s *Share) bool { return s != nil && s.file.isKnownSilent() }

// Locking says whether whoever is at work on the account waits for the lock.
func (s *Share) Locking() bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.locking
}

// Shut is why the lock can't be had, if that takes a person, and zone why the local
// times in the file can't be right; "": neither.
func (s *Share) Shut() (shut, zone string) {
	if s == nil {
		return "", ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shut, s.zone
}

// Asked is what a person is asked about the file, as long as the account's refresh token
// has that fingerprint; the zero value: nothing.
func (s *Share) Asked(ours string) Question {
	if s == nil {
		return Question{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked.ours != ours {
		return Question{}
	}
	return s.asked
}

// document is what the account's file shall hold.
func (a Account) document(rec store.Record) format.Document {
	d := rec.Document()
	d.ClientID, d.ClientSecret = a.ClientID, a.Secret(rec.AcceptedSecret)
	return d
}
