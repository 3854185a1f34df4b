package refresh_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/sharing"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// faulty fails while it is told to, and counts how often it was asked meanwhile. It
// bears only so much, so that a test of a loop without a pause ends.
type faulty struct {
	on    atomic.Bool
	asked atomic.Int32
}

func (f *faulty) fails() bool { return f.on.Load() && f.asked.Add(1) < 300 }

// within is how often it is asked for so long.
func (f *faulty) within(d time.Duration) int {
	before := f.asked.Load()
	time.Sleep(d)
	synctest.Wait()
	return int(f.asked.Load() - before)
}

// fullDisk takes no record while it is full.
type fullDisk struct {
	store.Store
	*faulty
}

func (d fullDisk) Commit(ctx context.Context, rec store.Record) error {
	if d.fails() {
		return errNoSpace
	}
	return d.Store.Commit(ctx, rec)
}

func (d fullDisk) SetAside(ctx context.Context, account string, e store.Evidence) error {
	if d.fails() {
		return errNoSpace
	}
	return d.Store.SetAside(ctx, account, e)
}

// lockless is a shared file whose lock can't be opened.
type lockless struct {
	sharing.File
	*faulty
}

func (f lockless) Lock(ctx context.Context) (func() error, error) {
	if f.fails() {
		return nil, errors.New("open its lock: permission denied")
	}
	return f.File.Lock(ctx)
}

// What the disk refuses is in the shared file, and whoever watches that tells of it. The
// disk is tried with pauses all the same.
func TestANoticeDoesNotHammerADiskThatIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSharedRig(t)
		disk := fullDisk{r.store, &faulty{}}
		r.store = disk
		r.accounts[0].Shared = watchedFile{r.accounts[0].Shared, func() { r.keeper.Touch("one") }}
		r.restart()
		g := r.start()
		synctest.Wait()
		disk.on.Store(true)
		time.Sleep(15*time.Minute - time.Second)
		for range 5 {
			if n := disk.within(10 * time.Second); n > 2 {
				t.Errorf("the disk was asked %d times within ten seconds", n)
			}
			r.keeper.Look() // the file holds what the record does not
		}
		disk.on.Store(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		r.wants(2, store.OriginRefresh)
		if n := r.broker.count(); n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
		// What was told meanwhile is looked at, and moves nothing.
		theirs := r.botRefreshes(true)
		r.keeper.Touch("one")
		synctest.Wait()
		if !r.record("one").Token.RefreshToken.Equal(theirs.RefreshToken) {
			t.Error("what a bot has written afterwards was not taken")
		}
		_ = g.end()
	})
}

// A lock that can't be had at once is tried with pauses, however often somebody tells of
// the file; and the account keeps its due time.
func TestANoticeDoesNotHammerALockThatCantBeHad(t *testing.T) {
	for _, ended := range []bool{false, true} {
		t.Run(map[bool]string{false: "valid", true: "its login has ended"}[ended], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newSharedRig(t)
				r.broker.policyLife, r.broker.fixed = 7*24*time.Hour, true
				file := lockless{r.accounts[0].Shared, &faulty{}}
				r.accounts[0].Shared = file
				if ended {
					rec := r.record("one")
					rec.Origin, rec.LoginAt = store.OriginRefresh, r.wall().Add(-8*24*time.Hour)
					r.restored(rec)
				}
				r.restart()
				g := r.start()
				time.Sleep(time.Minute)
				synctest.Wait()
				before := r.status("one").Due
				if before.IsZero() != ended {
					t.Fatalf("due %s", before)
				}
				file.on.Store(true)
				for range 5 {
					r.keeper.Touch("one")
					if n := file.within(10 * time.Second); n == 0 || n > 10 {
						t.Errorf("the lock was tried %d times within ten seconds", n)
					}
				}
				file.on.Store(false)
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if s := r.status("one"); !s.Due.Equal(before) || r.broker.count() != 0 {
					t.Errorf("due moved from %s to %s, and %d requests were made", before, s.Due, r.broker.count())
				}
				if ended {
					file.on.Store(true)
					theirs := r.botRefreshes(false)
					r.keeper.Touch("one")
					time.Sleep(time.Minute)
					file.on.Store(false)
					time.Sleep(10 * time.Second)
					synctest.Wait()
					if !r.record("one").Token.RefreshToken.Equal(theirs.RefreshToken) {
						t.Error("the token of a new login was not taken from the file")
					}
				}
				_ = g.end()
			})
		})
	}
}

// A person's word that waits for the lock in vain makes nothing due.
func TestAWordWithoutTheLockMakesNothingDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSharedRig(t)
		g := r.start()
		synctest.Wait()
		if _, err := r.loginAs("one", "alice"); err != nil {
			t.Fatal(err)
		}
		if _, err := r.loginAs("one", "bob"); !errors.Is(err, refresh.ErrAnotherPerson) {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		before := r.status("one").Due
		release, err := r.bot.Lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.keeper.ConfirmLogin(t.Context(), "one"); err == nil {
			t.Error("the login was confirmed without the lock")
		}
		r.must(release())
		time.Sleep(time.Minute)
		synctest.Wait()
		if s := r.status("one"); r.broker.count() != 0 || !s.Due.Equal(before) {
			t.Errorf("%d requests; due %s, and %s before", r.broker.count(), s.Due, before)
		}
		_ = g.end()
	})
}

// The answer of an old grant can't be kept: it is tried again with pauses, also when
// somebody tells of the shared file.
func TestANoticeDoesNotHammerWhatComesLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSharedRig(t)
		disk := fullDisk{r.store, &faulty{}}
		r.store = disk
		r.restart()
		h := r.hangRefresh(fault{})
		if _, err := r.keeper.CompleteLogin(t.Context(), "one", r.beginLogin("one"), "code-one"); err != nil {
			t.Fatal(err)
		}
		disk.on.Store(true)
		h.answer()
		synctest.Wait()
		for n := range 5 {
			if n < 4 {
				r.keeper.Touch("one")
			}
			if n := disk.within(10 * time.Second); n > 2 {
				t.Errorf("the disk was asked %d times within ten seconds", n)
			}
		}
		disk.on.Store(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		if rec := r.record("one"); len(rec.Evidence) != 1 || rec.Version != 2 {
			t.Errorf("%d answers are kept beside version %d", len(rec.Evidence), rec.Version)
		}
		if s := r.status("one"); s.State != refresh.Valid || !s.Due.Equal(s.Record.Token.Expiry().Add(-5*time.Minute)) {
			t.Errorf("state %s, due %s", s.State, s.Due)
		}
		_ = h.end()
	})
}
