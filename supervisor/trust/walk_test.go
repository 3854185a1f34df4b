package trust

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// place is a folder that nobody but this process can have made.
func place(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestFolderIsTheOneThatWasExamined(t *testing.T) {
	dir := place(t)
	must(t, os.MkdirAll(filepath.Join(dir, "a/b"), 0o755))
	must(t, os.Symlink("a", filepath.Join(dir, "relative")))
	must(t, os.Symlink(filepath.Join(dir, "a/b"), filepath.Join(dir, "absolute")))
	must(t, os.Symlink("../relative/b", filepath.Join(dir, "a/up")))
	must(t, os.Symlink("round", filepath.Join(dir, "round")))
	must(t, os.WriteFile(filepath.Join(dir, "a/b/here"), nil, 0o600))
	must(t, os.Mkdir(filepath.Join(dir, "open"), 0o700))
	must(t, os.Chmod(filepath.Join(dir, "open"), 0o777))

	for path, want := range map[string]string{
		"a/b": "", "relative/b": "", "absolute": "", "a/up": "", "a/../a/b/.": "", "a//b/": "",
		"round":      "too many symbolic links",
		"missing/b":  "there is no " + filepath.Join(dir, "missing"),
		"a/b/here":   "is no directory",
		"a/b/here/x": "not a directory",
		"open":       "can be changed by everybody on this machine",
	} {
		root, _, err := Here().Folder(dir+"/"+path, Rule{})
		switch {
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %q", path, err, want)
		case want == "" && err != nil:
			t.Errorf("%s: %v", path, err)
		case want == "":
			if _, err := root.Stat("here"); err != nil {
				t.Errorf("%s leads elsewhere: %v", path, err)
			}
		}
		if root != nil {
			must(t, root.Close())
		}
	}
	if _, _, err := Here().Folder(filepath.Join(dir, "missing"), Rule{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	if _, _, err := Here().Folder("a/b", Rule{}); err == nil {
		t.Error("a relative path was taken")
	}
}

func TestFileIsExamined(t *testing.T) {
	dir := place(t)
	path := filepath.Join(dir, "key")
	must(t, os.WriteFile(path, nil, 0o600))
	must(t, os.Symlink("key", filepath.Join(dir, "link")))
	for _, name := range []string{"key", "link"} {
		if _, err := Here().Examine(filepath.Join(dir, name), Rule{Steers: true}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	must(t, os.Chmod(path, 0o666))
	var refusal *Refusal
	if _, err := Here().Examine(path, Rule{Steers: true}); !errors.As(err, &refusal) || refusal.Path != path {
		t.Errorf("a file that everybody may write: %v", err)
	}
}

// TestOthersEntries needs a second user, whom only root can act for.
func TestOthersEntries(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make entries of other users")
	}
	const bots, stranger = 34567, 34568
	dir := place(t)
	bot, tmp := filepath.Join(dir, "bots"), filepath.Join(dir, "tmp")
	must(t, os.Mkdir(bot, 0o755))
	must(t, os.Chown(bot, bots, bots))
	must(t, os.Mkdir(tmp, 0o700))
	must(t, os.Chmod(tmp, 0o777|fs.ModeSticky))
	must(t, os.WriteFile(filepath.Join(tmp, "early"), nil, 0o600))
	must(t, os.Chown(filepath.Join(tmp, "early"), stranger, stranger))
	must(t, os.Symlink(bot, filepath.Join(tmp, "link")))
	must(t, os.Lchown(filepath.Join(tmp, "link"), stranger, stranger))

	root, grounds, err := Here().Folder(bot, Rule{})
	if err != nil {
		t.Fatal(err)
	}
	must(t, root.Close())
	if grounds.Owner == nil || *grounds.Owner != (Owner{UID: bots, Folder: bot}) {
		t.Errorf("the owner of the bots' folder: %+v", grounds.Owner)
	}
	if root, grounds, err = Here().Folder(tmp, Rule{}); err != nil || !grounds.Shared {
		t.Errorf("a sticky folder: %+v, %v", grounds, err)
	} else {
		must(t, root.Close())
	}
	for _, tc := range []struct {
		path string
		rule Rule
	}{{bot, Rule{Steers: true}}, {filepath.Join(tmp, "link"), Rule{}}} {
		var refusal *Refusal
		if _, _, err := Here().Folder(tc.path, tc.rule); !errors.As(err, &refusal) {
			t.Errorf("%s with %+v: %v", tc.path, tc.rule, err)
		}
	}
	if _, err := Here().Examine(filepath.Join(tmp, "early"), Rule{}); err == nil || !strings.Contains(err.Error(), "may have put it there") {
		t.Errorf("a file that was created in advance: %v", err)
	}
}

// TestListOfTheKernel reads what the kernel has written.
func TestListOfTheKernel(t *testing.T) {
	dir := place(t)
	must(t, os.Chmod(dir, 0o770))
	acl := list([3]int{0x01, 7, -1}, [3]int{aclUser, 7, 34567}, [3]int{aclGroupObj, 0, -1}, [3]int{0x20, 0, -1})
	// In the order of the kernel: the mask before the others.
	acl = append(append(append([]byte{}, acl[:28]...), acl[36:44]...), acl[28:36]...)
	if err := unix.Setxattr(dir, "system.posix_acl_access", acl, 0); err != nil {
		t.Skipf("the file system of temporary files has no access control lists: %v", err)
	}
	_, _, err := Here().Folder(dir, Rule{})
	if err == nil || !strings.Contains(err.Error(), "can be changed by user 34567") {
		t.Errorf("a folder that another user may write by its list: %v", err)
	}
}

// TestNothingStaysOpen walks well and badly, and counts descriptors.
func TestNothingStaysOpen(t *testing.T) {
	dir := place(t)
	must(t, os.Symlink(dir, filepath.Join(dir, "link")))
	must(t, os.Symlink("/nowhere", filepath.Join(dir, "dangling")))
	must(t, os.Mkdir(filepath.Join(dir, "open"), 0o700))
	must(t, os.Chmod(filepath.Join(dir, "open"), 0o777))
	open := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip("there is no /proc here")
		}
		return len(entries)
	}
	walk := func() {
		for _, name := range []string{"link", "dangling", "missing", "open", "open/below"} {
			if root, _, err := Here().Folder(filepath.Join(dir, name), Rule{}); err == nil {
				must(t, root.Close())
			}
		}
	}
	walk()
	before := open()
	for range 20 {
		walk()
	}
	if now := open(); now > before {
		t.Errorf("%d descriptors are open, %d before", now, before)
	}
}
