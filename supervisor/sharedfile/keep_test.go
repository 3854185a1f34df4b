package sharedfile_test

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sharedfile"
)

// A lock that an earlier process has left is taken over without being free for a
// moment; what is no lock of this file's is not.
func TestInheritedLocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		sharing := func() *sharedfile.File {
			f, err := sharedfile.New(sharedfile.Config{Path: filepath.Join(dir, "token"), Format: format.SaxoCache, Patience: time.Second})
			if err != nil {
				t.Fatal(err)
			}
			return f
		}
		open := func(name string, lock bool) *os.File {
			file, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR|os.O_CREATE, 0o600)
			if err == nil && lock {
				err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = file.Close() })
			return file
		}
		f, bot := sharing(), sharing()
		heldAgainst := func(when string, want bool) {
			t.Helper()
			release, err := bot.Lock(t.Context())
			if held := err != nil; held != want {
				t.Errorf("%s a bot is kept out: %t, want %t", when, held, want)
			}
			if err == nil {
				_ = release()
			}
		}
		if f.Inherit(open("another.lock", true), time.Minute) {
			t.Error("it takes another file's lock")
		}
		release, err := bot.Lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if f.Inherit(open("token.lock", false), time.Minute) {
			t.Error("it takes a descriptor that carries no lock")
		}
		_ = release()

		left := open("token.lock", true)
		again, err := unix.Dup(int(left.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		if !f.Inherit(left, time.Minute) || !f.Inherit(os.NewFile(uintptr(again), "again"), time.Minute) {
			t.Fatal("it takes no lock")
		}
		heldAgainst("while it is kept", true)
		if release, err = f.Lock(t.Context()); err != nil {
			t.Fatal(err)
		}
		heldAgainst("while it is held", true)
		f.Keep(time.Minute)
		_ = release()
		heldAgainst("after its release", true)
		f.Forgo()
		heldAgainst("after that", false)

		if !f.Inherit(open("token.lock", true), time.Minute) {
			t.Fatal("it takes no lock")
		}
		time.Sleep(time.Minute + time.Second)
		heldAgainst("after the time that it is kept", false)
	})
}

// Two files of one process have one lock file: what is kept of it for one of them
// keeps out bots, and not the other, who puts it back.
func TestOneShelfForOneLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		lock := filepath.Join(dir, "lock")
		shelf := &sharedfile.Shelf{}
		sharing := func(name string, shelf *sharedfile.Shelf) *sharedfile.File {
			f, err := sharedfile.New(sharedfile.Config{
				Path: filepath.Join(dir, name), Lock: lock, Format: format.SaxoCache, Patience: time.Second, Shelf: shelf,
			})
			if err != nil {
				t.Fatal(err)
			}
			return f
		}
		one, two, bot := sharing("one", shelf), sharing("two", shelf), sharing("two", nil)
		locks := func(f *sharedfile.File) func() error {
			t.Helper()
			release, err := f.Lock(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return release
		}
		free := func(when string, want bool) {
			t.Helper()
			release, err := bot.Lock(t.Context())
			if got := err == nil; got != want {
				t.Errorf("%s the lock is free: %t, want %t", when, got, want)
			}
			if err == nil {
				_ = release()
			}
		}
		end := func(release func() error) {
			t.Helper()
			if err := release(); err != nil {
				t.Error(err)
			}
		}
		release := locks(one)
		one.Keep(time.Minute)
		end(release)
		release = locks(two)
		free("while the other uses it", false)
		end(release)
		free("after that", false)
		end(locks(one))
		free("when its attempt is settled", true)

		// The lock of two attempts is free when both are settled.
		release = locks(one)
		one.Keep(time.Minute)
		end(release)
		release = locks(two)
		two.Keep(time.Minute)
		one.Forgo()
		end(release)
		free("while the other's attempt is open", false)
		two.Forgo()
		free("when both are settled", true)

		// Nobody knows whose attempt it was.
		left, err := os.OpenFile(lock, os.O_RDWR, 0)
		if err == nil {
			err = unix.Flock(int(left.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		}
		if err != nil {
			t.Fatal(err)
		}
		if !one.Inherit(left, time.Minute) || !two.Inherit(left, 2*time.Minute) {
			t.Fatal("it is not taken over for both")
		}
		two.Forgo()
		free("before it is known whose it was", false)
		// One whose time is over while the other has it.
		release = locks(two)
		time.Sleep(2 * time.Minute)
		free("while it is used", false)
		end(release)
		free("after its time", true)

		// Waiting for the other is no reason to miss what he puts back.
		release = locks(one)
		one.Keep(time.Hour)
		got := make(chan func() error)
		go func() { got <- locks(two) }()
		synctest.Wait()
		end(release)
		end(<-got)
		one.Forgo()
		free("at the end", true)
	})
}
