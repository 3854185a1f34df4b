package atomicfile_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/atomicfile"
)

// disk mounts a file system of its own.
func disk(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("a small file system can't be mounted, which needs root: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

func put(t *testing.T, path, content string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// fill leaves no room on the disk of dir.
func fill(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
}

// Each place in which a file can't be replaced, and what is said of it. Nothing
// is left behind, and the file is as it was.
func TestWhatCantBeReplaced(t *testing.T) {
	for name, tt := range map[string]struct {
		place func(t *testing.T) (path string)
		want  string
	}{
		"a full disk": {func(t *testing.T) string {
			dir := disk(t, "size=64k")
			path := put(t, filepath.Join(dir, "token"), "old")
			fill(t, dir)
			return path
		}, "free some space"},
		"no inode": {func(t *testing.T) string {
			dir := disk(t, "size=1m,nr_inodes=2") // the folder's own and one
			return put(t, filepath.Join(dir, "token"), "old")
		}, "no inode is left"},
		"read-only": {func(t *testing.T) string {
			dir := disk(t, "size=64k")
			path := put(t, filepath.Join(dir, "token"), "old")
			if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
				t.Fatal(err)
			}
			return path
		}, "mount it with rw"},
		"mounted by itself": {func(t *testing.T) string {
			dir := t.TempDir()
			theirs, path := put(t, filepath.Join(dir, "theirs"), "old"), put(t, filepath.Join(dir, "to ken"), "")
			if err := unix.Mount(theirs, path, "", unix.MS_BIND, ""); err != nil {
				t.Skipf("a file can't be mounted, which needs root: %v", err)
			}
			t.Cleanup(func() { _ = unix.Unmount(path, unix.MNT_DETACH) })
			return path
		}, "mount the folder, not the file"},
		"immutable": {func(t *testing.T) string {
			path := put(t, filepath.Join(t.TempDir(), "token"), "old")
			flag(t, path, unix.STATX_ATTR_IMMUTABLE)
			return path
		}, "chattr -i"},
		"append-only": {func(t *testing.T) string {
			dir := t.TempDir()
			path := put(t, filepath.Join(dir, "token"), "old")
			flag(t, dir, unix.STATX_ATTR_APPEND)
			return path
		}, "chattr -a"},
		"another's in a sticky folder": {func(t *testing.T) string {
			if os.Geteuid() != 0 {
				t.Skip("only root may give files away")
			}
			dir := t.TempDir()
			path := put(t, filepath.Join(dir, "token"), "old")
			if err := errors.Join(os.Chown(dir, 1, 1), os.Chmod(dir, 0o777|os.ModeSticky), os.Chown(path, 2, 2)); err != nil {
				t.Fatal(err)
			}
			without(t, unix.CAP_FOWNER)
			return path
		}, "is sticky"},
	} {
		t.Run(name, func(t *testing.T) {
			path := tt.place(t)
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if p, err := atomicfile.Prepare(files.OS{}, path, 8<<10, atomicfile.AsTheyAre()); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("prepared: %v", err)
				if err == nil {
					p.Discard()
				}
			}
			if err := atomicfile.Replaceable(files.OS{}, path, 8<<10, atomicfile.AsTheyAre()); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("replaceable: %v", err)
			}
			if err := atomicfile.Replace(t.Context(), files.OS{}, path, bytes.Repeat([]byte("new"), 4<<10), atomicfile.AsTheyAre()); err == nil {
				t.Error("it was replaced all the same: this is no obstacle")
			}
			if b, err := os.ReadFile(path); err != nil || string(b) != string(before) {
				t.Errorf("the file holds %q, %v", b, err)
			}
			if left := temporary(t, filepath.Dir(path)); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// flag sets an attribute that chattr(1) knows.
func flag(t *testing.T, path string, attribute int) {
	t.Helper()
	const immutable, appendOnly = 0x10, 0x20 // ioctl_iflags(2)
	bit := map[int]int{unix.STATX_ATTR_IMMUTABLE: immutable, unix.STATX_ATTR_APPEND: appendOnly}[attribute]
	set := func(on int) error {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		return unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, on)
	}
	if err := set(bit); err != nil {
		t.Skipf("the attribute can't be set here: %v", err)
	}
	t.Cleanup(func() { _ = set(0) })
}

// without takes a capability from this thread for the rest of the test.
func without(t *testing.T, capability int) {
	t.Helper()
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var had, has [2]unix.CapUserData
	if err := unix.Capget(&head, &had[0]); err != nil {
		t.Fatal(err)
	}
	has = had
	has[0].Effective &^= 1 << capability
	if err := unix.Capset(&head, &has[0]); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Capset(&head, &had[0]) })
}

// What was prepared holds its room: the disk may fill up meanwhile.
func TestPreparedRoomIsKept(t *testing.T) {
	dir := disk(t, "size=256k")
	path := put(t, filepath.Join(dir, "token"), "old")
	p, err := atomicfile.Prepare(files.OS{}, path, 16<<10, atomicfile.AsTheyAre())
	if err != nil {
		t.Fatal(err)
	}
	fill(t, dir)
	will := strings.Repeat("new", 5<<10)
	if err := p.Put(t.Context(), []byte(will)); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != will {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if left := temporary(t, dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// What changes between the proof and the write is followed.
func TestPreparedFollowsChanges(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"another mode": func(path string) error { return os.Chmod(path, 0o640) },
		"another folder": func(path string) error {
			dir := filepath.Dir(path)
			return errors.Join(os.Rename(dir, dir+".away"), os.Mkdir(dir, 0o700), os.WriteFile(path, []byte("theirs"), 0o640), os.Chmod(path, 0o640))
		},
		"the temporary file is gone": func(path string) error {
			left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".token.*.tmp"))
			if err != nil || len(left) != 1 {
				return errors.Join(err, errors.New("there is not one temporary file"))
			}
			return errors.Join(os.Remove(left[0]), os.Chmod(path, 0o640))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "bots")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			path := put(t, filepath.Join(dir, "token"), "old")
			p, err := atomicfile.Prepare(files.OS{}, path, 100, atomicfile.AsTheyAre())
			if err != nil {
				t.Fatal(err)
			}
			if err := change(path); err != nil {
				t.Fatal(err)
			}
			if err := p.Put(t.Context(), []byte("new")); err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(path)
			info, _ := os.Stat(path)
			if err != nil || string(b) != "new" || info.Mode().Perm() != 0o640 {
				t.Errorf("%q, mode %o, %v", b, info.Mode().Perm(), err)
			}
			if left := temporary(t, dir); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
	t.Run("a link", func(t *testing.T) {
		path := put(t, filepath.Join(t.TempDir(), "token"), "old")
		p, err := atomicfile.Prepare(files.OS{}, path, 100, atomicfile.AsTheyAre())
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.Rename(path, path+".away"), os.Symlink(path+".away", path)); err != nil {
			t.Fatal(err)
		}
		if err := p.Put(t.Context(), []byte("new")); err == nil || !strings.Contains(err.Error(), "symbolic link") {
			t.Errorf("put through a link: %v", err)
		}
	})
}
