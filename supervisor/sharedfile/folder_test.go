package sharedfile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk/usertest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sharedfile"
	"github.com/tokenkeeper/tokenkeeper/supervisor/trust"
)

// place makes a folder that others may look into.
func place(t *testing.T, uid, gid int, mode fs.FileMode) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "shared")
	if err := errors.Join(os.Mkdir(dir, 0o700), os.Chown(dir, uid, gid), os.Chmod(dir, mode)); err != nil {
		t.Fatal(err)
	}
	return dir
}

const forged = `{"access_token": "theirs", "refresh_token": "theirs", "token_expiry": "2096-01-02T03:04:05.000006"}`

// TestWhoseFilesAreTrusted: nothing is read from a file that a stranger may have
// put there, and nothing is written into one.
func TestWhoseFilesAreTrusted(t *testing.T) {
	usertest.NeedsRoot(t)
	const stranger, bots, nogroup = usertest.Stranger, usertest.Stranger + 1, usertest.Stranger + 2
	sticky := fs.ModeSticky | 0o777
	for name, c := range map[string]struct {
		uid, gid   int // of the folder
		mode       fs.FileMode
		file, lock int // whose they are; -1: there is none
		trusting   bool
		want       string
	}{
		"the bots' folder":                     {uid: bots, gid: bots, mode: 0o755, file: bots, lock: bots},
		"the bots' files in root's":            {mode: 0o755, file: bots, lock: bots},
		"nothing is there yet":                 {mode: 0o755, file: -1, lock: -1},
		"nothing is there yet, in a sticky":    {mode: sticky, file: -1, lock: -1},
		"our own in a sticky folder":           {mode: sticky, file: 0, lock: 0},
		"a stranger's file in a sticky folder": {mode: sticky, file: stranger, lock: -1, want: "/token.json (mode 0600"},
		"a stranger's lock in a sticky folder": {mode: sticky, file: 0, lock: stranger, want: "/token.json.lock (mode 0600"},
		"the same, which is accepted":          {mode: sticky, file: stranger, lock: stranger, trusting: true},
		"the bots' folder that all may change": {uid: bots, gid: bots, mode: 0o777, file: bots, lock: bots, want: "trust_folder: true"},
		"a volume that all may change":         {mode: 0o777, file: bots, lock: bots, trusting: true},
		"fsGroup":                              {gid: nogroup, mode: fs.ModeSetgid | 0o775, file: bots, lock: -1, trusting: true},
		"fsGroup without the key":              {gid: nogroup, mode: fs.ModeSetgid | 0o775, file: -1, lock: -1, want: "can be changed by the group "},
	} {
		t.Run(name, func(t *testing.T) {
			dir := place(t, c.uid, c.gid, c.mode)
			f, cfg := newFile(t, sharedfile.Config{Path: filepath.Join(dir, "token.json"), TrustFolder: c.trusting})
			for path, uid := range map[string]int{cfg.Path: c.file, cfg.Lock: c.lock} {
				if uid < 0 {
					continue
				}
				write(t, path, forged, 0o600)
				if err := os.Chown(path, uid, uid); err != nil {
					t.Fatal(err)
				}
			}
			before := stateOf(t, dir)
			if c.want == "" {
				release, err := f.Lock(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if err := errors.Join(f.Prove(), f.Write(document("a1", "r1")), release()); err != nil {
					t.Fatal(err)
				}
				if d, err := f.Read(); err != nil || d.RefreshToken.Reveal() != "r1" {
					t.Errorf("it reads %v, %v", d, err)
				}
				var st unix.Stat_t
				if err := unix.Stat(cfg.Path, &st); err != nil || int(st.Uid) != max(c.file, 0) {
					t.Errorf("the file is that of %d now, %v", st.Uid, err)
				}
				return
			}
			_, lockErr := f.Lock(t.Context())
			trusted := f.Trusted()
			var refusal *trust.Refusal
			if !errors.As(lockErr, &refusal) || !errors.As(trusted, &refusal) || !strings.Contains(lockErr.Error(), c.want) {
				t.Errorf("locked: %v; trusted: %v; want %q", lockErr, trusted, c.want)
			}
			if c.file == stranger || c.mode&fs.ModeSticky == 0 {
				_, err := f.Read()
				_, mendErr := f.Mend(document("a1", "r1"))
				for what, err := range map[string]error{"read": err, "write": f.Write(document("a1", "r1")), "prove": f.Prove(), "mend": mendErr, "check": f.Replaceable()} {
					if !errors.As(err, &refusal) || sharedfile.Nothing(err) {
						t.Errorf("%s: %v", what, err)
					}
				}
			}
			if after := stateOf(t, dir); after != before {
				t.Errorf("the folder holds\n%s\nand before\n%s", after, before)
			}
		})
	}
}

// stateOf tells what is in a folder, and what it holds.
func stateOf(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, e := range entries {
		b, _ := os.ReadFile(filepath.Join(dir, e.Name()))
		all.WriteString(e.Name() + " " + string(b) + "\n")
	}
	return all.String()
}

// TestLockByALink: a lock may be named by a link of ours, and not of a stranger.
func TestLockByALink(t *testing.T) {
	usertest.NeedsRoot(t)
	dir, far := place(t, 0, 0, 0o755), place(t, 0, 0, 0o755)
	lock := filepath.Join(dir, "lock")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Symlink("further", lock))
	must(os.Symlink(filepath.Join(far, "lock"), filepath.Join(dir, "further")))
	write(t, filepath.Join(far, "lock"), "", 0o600)
	f, _ := newFile(t, sharedfile.Config{Path: filepath.Join(dir, "token.json"), Lock: lock})
	release, err := f.Lock(t.Context())
	must(err)
	if other, err := os.Open(filepath.Join(far, "lock")); err != nil || unix.Flock(int(other.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
		t.Errorf("the lock is elsewhere: %v", err)
	}
	must(release())
	must(os.Lchown(lock, usertest.Stranger, usertest.Stranger))
	if _, err := f.Lock(t.Context()); err == nil || !strings.Contains(err.Error(), "is a symbolic link of user 34567") {
		t.Errorf("by a stranger's link: %v", err)
	}
}

// TestFileIsSwappedAllTheTime: a stranger puts files and links of his own into a
// sticky folder as fast as he can, and gets nothing. He acts as another user on
// a thread of his own.
func TestFileIsSwappedAllTheTime(t *testing.T) {
	usertest.NeedsRoot(t)
	dir := place(t, 0, 0, fs.ModeSticky|0o777)
	for up := dir; up != "/"; up = filepath.Dir(up) {
		if up != os.TempDir() && strings.HasPrefix(up, os.TempDir()) {
			_ = os.Chmod(up, 0o755|map[bool]fs.FileMode{true: 0o022 | fs.ModeSticky}[up == dir])
		}
	}
	path := filepath.Join(dir, "token.json")
	f, _ := newFile(t, sharedfile.Config{Path: path})
	stop := make(chan struct{})
	seen := make(chan int)
	usertest.As(t, usertest.Stranger, func() {
		swaps := 0
		for {
			select {
			case <-stop:
				seen <- swaps
				return
			default:
			}
			fd, err := unix.Open(path, unix.O_CREAT|unix.O_EXCL|unix.O_RDWR|unix.O_CLOEXEC, 0o666)
			if err == nil {
				_ = unix.Fchmod(fd, 0o666)
				_, _ = unix.Write(fd, []byte(forged))
				_ = unix.Close(fd)
				swaps++
			}
			_ = unix.Unlink(path)
			_ = unix.Symlink("/etc/passwd", path)
			_ = unix.Unlink(path)
		}
	})
	written := 0
	for range 1000 {
		if d, err := f.Read(); err == nil && d.RefreshToken.Reveal() != "ours" {
			t.Fatalf("it believes a stranger's file: %v", d)
		}
		if f.Write(document("ours", "ours")) != nil {
			continue
		}
		written++
		info, err := os.Lstat(path)
		if err != nil || info.Mode() != 0o600 {
			t.Fatalf("the token stands in a file of mode %v, %v", info.Mode(), err)
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil || st.Uid != 0 {
			t.Fatalf("the token stands in a file of user %d, %v", st.Uid, err)
		}
		_ = os.Remove(path)
	}
	close(stop)
	if swaps := <-seen; swaps == 0 || written == 0 {
		t.Errorf("%d swaps, %d writes: it proves nothing", swaps, written)
	}
}
