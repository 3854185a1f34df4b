package sharedfile_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sharedfile"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sharedfile/sharedfiletest"
)

// free fails the test unless the lock can be had.
func free(t *testing.T, f *sharedfile.File) {
	t.Helper()
	ctx, cancel := waittest.Context(t.Context(), waittest.Patience)
	defer cancel()
	release, err := f.Lock(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(release(), release()); err != nil {
		t.Error(err)
	}
}

func TestAHungHolderIsNamed(t *testing.T) {
	f, cfg := newFile(t, sharedfile.Config{Patience: 250 * time.Millisecond})
	bot := sharedfiletest.Start(t, sharedfiletest.Bot{Path: cfg.Path, Lock: cfg.Lock, Hang: true})
	bot.Locked(t)
	began := time.Now()
	var first, second *sharedfile.HeldError
	for _, held := range []**sharedfile.HeldError{&first, &second} {
		release, err := f.Lock(t.Context())
		if !errors.As(err, held) {
			t.Fatalf("got %v, %v", release != nil, err)
		}
	}
	if first.By.First().PID != bot.PID() || first.By.First().Program == "" || first.Path != cfg.Lock {
		t.Errorf("the holder is %+v, want PID %d", first, bot.PID())
	}
	if first.Age < 150*time.Millisecond || second.Age < first.Age+250*time.Millisecond || second.Age > time.Since(began) || !second.Since.Equal(first.Since) {
		t.Errorf("held for %v, then %v, in %v", first.Age, second.Age, time.Since(began))
	}
	for _, want := range []string{cfg.Lock, first.By.First().Program, "kill ", "never taken by force"} {
		if !strings.Contains(first.Error(), want) {
			t.Errorf("%q lacks %q", first, want)
		}
	}
	bot.Kill()
	free(t, f)
	if _, err := os.Stat(cfg.Lock); err != nil {
		t.Errorf("the lock file is gone: %v", err)
	}
}

// hold takes the lock through a descriptor of its own.
func hold(t *testing.T, path string) *os.File {
	t.Helper()
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestPatience(t *testing.T) {
	f, cfg := newFile(t, sharedfile.Config{})
	holder := hold(t, cfg.Lock)
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		_, err := f.Lock(t.Context())
		var held *sharedfile.HeldError
		if !errors.As(err, &held) || held.By.First().PID != os.Getpid() || held.Age != 30*time.Second || time.Since(began) != 30*time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := f.Lock(ctx); !errors.Is(err, context.DeadlineExceeded) || errors.As(err, &held) {
			t.Errorf("with a deadline: %v", err)
		}

		time.AfterFunc(5*time.Second+time.Millisecond, func() { _ = holder.Close() })
		began = time.Now()
		release, err := f.Lock(t.Context())
		if err != nil || time.Since(began) != 5100*time.Millisecond {
			t.Fatalf("after %v: %v", time.Since(began), err)
		}
		if err := release(); err != nil {
			t.Error(err)
		}
	})
}

// To find the holder can cost a walk through all processes, so that is not done
// at every poll.
func TestTheHolderIsLookedForOnceASecond(t *testing.T) {
	f, cfg := newFile(t, sharedfile.Config{})
	hold(t, cfg.Lock)
	looks := 0
	f.CountLooks(&looks)
	synctest.Test(t, func(t *testing.T) {
		var held *sharedfile.HeldError
		if _, err := f.Lock(t.Context()); !errors.As(err, &held) || held.By.First().PID != os.Getpid() {
			t.Error(err)
		}
		if want := 30 + 1; looks != want { // each second, and for the warning
			t.Errorf("looked %d times in 30 s, want %d", looks, want)
		}
	})
}

// A lock on a file that no longer has the lock's name keeps nobody out.
func TestAReplacedLockFileIsNoLock(t *testing.T) {
	f, cfg := newFile(t, sharedfile.Config{})
	hold(t, cfg.Lock)
	synctest.Test(t, func(t *testing.T) {
		time.AfterFunc(time.Second+time.Millisecond, func() {
			if err := os.Remove(cfg.Lock); err != nil {
				t.Error(err)
			}
		})
		release, err := f.Lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = release() }()
		file, err := os.Open(cfg.Lock)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); !errors.Is(err, unix.EWOULDBLOCK) {
			t.Errorf("another program could lock too: %v", err)
		}
	})
}

func TestANewLockFileIsLikeTheTokenFile(t *testing.T) {
	f, cfg := newFile(t, sharedfile.Config{})
	free(t, f)
	if info, err := os.Stat(cfg.Lock); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("without a token file: %v, %v", info, err)
	}
	if err := os.Remove(cfg.Lock); err != nil {
		t.Fatal(err)
	}
	write(t, cfg.Path, "{}", 0o664)
	uid, gid := os.Getuid(), os.Getgid()
	if uid == 0 {
		uid, gid = 65534, 65534
		if err := os.Chown(cfg.Path, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	free(t, f)
	info, err := os.Stat(cfg.Lock)
	if err != nil {
		t.Fatal(err)
	}
	if st := info.Sys().(*syscall.Stat_t); int(st.Uid) != uid || int(st.Gid) != gid || info.Mode().Perm() != 0o664 {
		t.Errorf("the lock has owner %d:%d and mode %v", st.Uid, st.Gid, info.Mode())
	}
	write(t, cfg.Lock, "", 0o600) // somebody's choice
	free(t, f)
	if info, err := os.Stat(cfg.Lock); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the mode of a lock that was there is now %v, %v", info.Mode(), err)
	}
}

func TestAChildDoesNotInheritTheLock(t *testing.T) {
	f, cfg := newFile(t, sharedfile.Config{})
	release, err := f.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command("cat")
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close(); _ = child.Wait() }()
	for _, fd := range open(t, child.Process.Pid) {
		if fd == cfg.Lock {
			t.Error("the child has the lock file open")
		}
	}
	found := false
	for _, fd := range open(t, os.Getpid()) {
		found = found || fd == cfg.Lock
	}
	if !found {
		t.Error("this way of looking would not find the lock file")
	}
	if err := release(); err != nil {
		t.Error(err)
	}
	free(t, f)
}

// open lists the files that a process has open.
func open(t *testing.T, pid int) []string {
	t.Helper()
	fds, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "fd", "*"))
	if err != nil || len(fds) == 0 {
		t.Fatalf("process %d has nothing open: %v", pid, err)
	}
	var names []string
	for _, fd := range fds {
		if name, err := os.Readlink(fd); err == nil {
			names = append(names, name)
		}
	}
	return names
}

func TestLockErrorsSayWhatToDo(t *testing.T) {
	dir := t.TempDir()
	link, folder := filepath.Join(dir, "link"), filepath.Join(dir, "folder")
	if err := errors.Join(os.Symlink("nowhere", link), os.Mkdir(folder, 0o700)); err != nil {
		t.Fatal(err)
	}
	for lock, want := range map[string]string{
		link:                             "link to nothing",
		folder:                           folder,
		filepath.Join(dir, "no", "lock"): filepath.Join(dir, "no") + ": create it",
	} {
		f, err := sharedfile.New(sharedfile.Config{Path: filepath.Join(dir, "token.json"), Lock: lock, Format: "json"})
		if err != nil {
			continue
		}
		if _, err := f.Lock(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", lock, err)
		}
	}
}
