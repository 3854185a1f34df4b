package file_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk/files/filestest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/file"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/sinktest"
)

// A test leaves the token's file as it is, to the inode, and nothing beside it.
func TestTestTouchesNoToken(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "token")
	s := newSink(t, file.Config{Path: path})
	if _, err := s.Test(t.Context(), sinktest.Full("a", 1)); err != nil {
		t.Fatal(err)
	}
	if got := names(t, dir); len(got) != 0 {
		t.Errorf("where there was nothing there is %v", got)
	}
	if err := os.WriteFile(path, []byte("old"), 0o640); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	done, err := s.Test(t.Context(), sinktest.Full("a", 2))
	if err != nil || !strings.Contains(done, "removed") {
		t.Errorf("%s, %v", done, err)
	}
	after, err := os.Stat(path)
	if err != nil || !os.SameFile(before, after) || !after.ModTime().Equal(before.ModTime()) {
		t.Errorf("the token's file has changed: %v", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "old" || len(names(t, dir)) != 1 {
		t.Errorf("it holds %q, and there is %v", b, names(t, dir))
	}
}

// What a delivery would be refused for, a test is refused for too.
func TestTestChecksWhatADeliveryChecks(t *testing.T) {
	dir := t.TempDir()
	mkdir(t, filepath.Join(dir, "open"), 0o777)
	mkdir(t, filepath.Join(dir, "closed"), 0o700)
	mkdir(t, filepath.Join(dir, "closed", "taken"), 0o700)
	if err := errors.Join(os.Symlink("closed", filepath.Join(dir, "link")), os.Symlink("x", filepath.Join(dir, "closed", "alink"))); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"open/token": "can be changed by everybody", "link/token": "", "none/token": "create it",
		"closed/taken": "it is a folder", "closed/alink": "symbolic link", "closed/token": "",
	} {
		s := newSink(t, file.Config{Path: filepath.Join(dir, path)})
		_, tested := s.Test(t.Context(), sinktest.Full("a", 1))
		delivered := s.Deliver(t.Context(), sinktest.Full("a", 1))
		if (tested == nil) != (delivered == nil) || (tested == nil) != (want == "") || tested != nil && !strings.Contains(tested.Error(), want) {
			t.Errorf("%s: the test says %v, the delivery %v", path, tested, delivered)
		}
	}
	if os.Geteuid() == 0 {
		path := filepath.Join(dir, "closed", "given")
		s := newSink(t, file.Config{Path: path, Owner: "77:88", Mode: 0o640})
		if _, err := s.Test(t.Context(), sinktest.Full("a", 1)); err != nil {
			t.Errorf("with another owner: %v", err)
		}
	}
}

// Whatever fails in a test, the token's file stays, and what it says is right:
// done means that a file could be written and is removed.
func TestEveryFaultOfATest(t *testing.T) {
	n := filestest.Everything(t, func(dir string) {
		if err := os.WriteFile(filepath.Join(dir, "a"), []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
	}, func(d *filestest.Disk, dir string) error {
		s := newSink(t, file.Config{Path: filepath.Join(dir, "{account}")})
		s.On(d)
		_, err := s.Test(t.Context(), sinktest.Full("a", 1))
		return err
	}, func(c filestest.Case) {
		if b, err := os.ReadFile(filepath.Join(c.Dir, "a")); string(b) != "old" {
			t.Fatalf("the token's file holds %q, %v: %s", b, err, c.When)
		}
		entries, err := os.ReadDir(c.Dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			b, err := os.ReadFile(filepath.Join(c.Dir, e.Name()))
			if err != nil || strings.Contains(string(b), "CANARY") {
				t.Fatalf("%s holds a token, %v: %s", e.Name(), err, c.When)
			}
			if c.Err == nil && !c.PowerLost && e.Name() != "a" {
				t.Fatalf("%s is left behind: %s", e.Name(), c.When)
			}
		}
	})
	if n < 8 {
		t.Errorf("%d operations", n)
	}
}

// smallDisk mounts a file system of 64 KiB.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k,mode=700"); err != nil {
		t.Skipf("a small file system can't be mounted, which needs root: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// On a disk that is really full the old file stays, the test says so too, and
// both work once there is room.
func TestDiskThatIsFull(t *testing.T) {
	dir := smallDisk(t)
	path, filler := filepath.Join(dir, "token"), filepath.Join(dir, "filler")
	s := newSink(t, file.Config{Path: path})
	if err := s.Deliver(t.Context(), sinktest.Full("a", 1)); err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filler, make([]byte, 1<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	for what, try := range map[string]func() error{
		"delivery": func() error { return s.Deliver(t.Context(), sinktest.Full("a", 2)) },
		"test":     func() error { _, err := s.Test(t.Context(), sinktest.Full("a", 2)); return err },
	} {
		err := try()
		if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "free some space") {
			t.Errorf("%s: %v", what, err)
		}
		sinktest.AssertNoSecret(t, err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != string(old) {
		t.Errorf("the old token is gone: %v", err)
	}
	if got := names(t, dir); len(got) != 2 {
		t.Errorf("left behind: %v", got)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Test(t.Context(), sinktest.Full("a", 2)); err != nil {
		t.Error(err)
	}
	if err := s.Deliver(t.Context(), sinktest.Full("a", 2)); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != fs.FileMode(0o600) {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func BenchmarkDeliver(b *testing.B) {
	s, err := file.New(file.Config{Path: filepath.Join(b.TempDir(), "{account}"), Encode: encode})
	if err != nil {
		b.Fatal(err)
	}
	sinktest.Benchmark(b, s)
}
