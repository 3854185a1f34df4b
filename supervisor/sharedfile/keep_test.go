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
