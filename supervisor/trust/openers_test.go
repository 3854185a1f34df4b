package trust

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestOpeners: who may open a file, by all that is on the way to it.
func TestOpeners(t *testing.T) {
	root := folder("/", 0o755, 0, 0)
	for name, tc := range map[string]struct {
		way     []facts
		want    string // the names; "": nobody
		closing string
	}{
		"ours alone":                  {way: []facts{root, file("/a", 0o600, us, ourGroup)}},
		"of a private group":          {way: []facts{root, file("/a", 0o660, us, ourGroup)}},
		"that of a trusted owner":     {way: []facts{root, folder("/bots", 0o755, bots, botsGroup), file("/bots/a", 0o660, bots, botsGroup)}},
		"everybody reads":             {way: []facts{root, file("/a", 0o644, us, ourGroup)}, want: "everybody on this machine", closing: "chmod 0640 /a"},
		"everybody, a closed folder":  {way: []facts{root, folder("/b", 0o700, us, ourGroup), file("/b/a", 0o666, us, ourGroup)}},
		"everybody only executes":     {way: []facts{root, file("/a", 0o601, us, ourGroup)}},
		"everybody, a group's folder": {way: []facts{root, folder("/b", 0o750, us, team), file("/b/a", 0o644, us, ourGroup)}, want: "the group team (60)", closing: "chmod 0640 /b/a"},
		"a group":                     {way: []facts{root, file("/a", 0o640, us, team)}, want: "the group team (60)", closing: "chmod 0600 /a"},
		"a group that has no name":    {way: []facts{root, file("/a", 0o640, us, unnamed)}, want: "the group 2000", closing: "chmod 0600 /a"},
		"a group without members":     {way: []facts{root, file("/a", 0o640, us, staff)}},
		"a group that is kept out":    {way: []facts{root, folder("/b", 0o700, us, ourGroup), file("/b/a", 0o660, us, team)}},
		"one who is in two groups":    {way: []facts{root, folder("/b", 0o710, us, team), file("/b/a", 0o640, us, bobGroup)}, want: "bob (1002)", closing: "chmod 0600 /b/a"},
		"a list with a user":          {way: []facts{root, with(file("/a", 0o660, us, ourGroup), list([3]int{aclGroupObj, 0, 0}, [3]int{aclUser, 4, bob}))}, want: "bob (1002)", closing: "setfacl -b /a && chmod 0600 /a"},
		"a list that keeps one out":   {way: []facts{root, with(file("/a", 0o660, us, ourGroup), list([3]int{aclGroupObj, 0, 0}, [3]int{aclUser, 0, bob}))}},
		"a list with an unknown user": {way: []facts{root, with(file("/a", 0o660, us, ourGroup), list([3]int{aclGroupObj, 0, 0}, [3]int{aclUser, 6, 4711}))}, want: "user 4711", closing: "setfacl -b /a && chmod 0600 /a"},
		"a list with a group":         {way: []facts{root, with(file("/a", 0o660, us, ourGroup), list([3]int{aclGroupObj, 0, 0}, [3]int{aclGroup, 4, team}))}, want: "the group team (60)", closing: "setfacl -b /a && chmod 0600 /a"},
	} {
		t.Run(name, func(t *testing.T) {
			w := &way{judge: machine(t), looks: true}
			for i, f := range tc.way {
				must(t, w.pass(f, i == len(tc.way)-1))
			}
			got := w.openers()
			if names := strings.Join(got.Names(), ", "); names != tc.want || got.Nobody() != (tc.want == "") {
				t.Errorf("%q, want %q", names, tc.want)
			}
			if tc.want != "" && got.Closing() != tc.closing {
				t.Errorf("to be closed by %q, want %q", got.Closing(), tc.closing)
			}
		})
	}
}

func TestOpenersBeyondOthers(t *testing.T) {
	lock := Openers{Groups: []int{team, staff}, Users: []int{bob}, file: file("/a", 0o660, us, staff)}
	if got := lock.Beyond(Openers{Groups: []int{team}, Users: []int{bob, alice}}); len(got.Groups) != 1 || got.Groups[0] != staff || len(got.Users) != 0 {
		t.Errorf("beyond those who may open another file: %+v", got)
	}
	if got := lock.BeyondGroup(); len(got.Groups) != 1 || got.Groups[0] != team {
		t.Errorf("beyond its own group: %+v", got)
	}
	if got := lock.Beyond(Openers{Everybody: true}); !got.Nobody() {
		t.Errorf("beyond everybody: %+v", got)
	}
	if got := (Openers{Everybody: true}).Beyond(lock); !got.Everybody {
		t.Errorf("everybody beyond some: %+v", got)
	}
}

// TestOpenersAreWhoTheKernelLetsIn asks the kernel, as the users themselves.
func TestOpenersAreWhoTheKernelLetsIn(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can act for other users")
	}
	const bob, team = 34567, 34568
	for name, tc := range map[string]struct {
		folder, file uint32
	}{
		"everybody": {0o755, 0o644}, "closed": {0o700, 0o666}, "the group": {0o750, 0o640}, "its folder alone": {0o750, 0o600},
		"the file alone": {0o705, 0o660}, "nobody": {0o711, 0o600}, "writing alone": {0o711, 0o602},
	} {
		t.Run(name, func(t *testing.T) {
			dir := place(t)
			for at := dir; at != os.TempDir() && at != "/"; at = filepath.Dir(at) {
				must(t, os.Chmod(at, 0o755))
			}
			path := filepath.Join(dir, "b", "lock")
			must(t, errors.Join(os.Mkdir(filepath.Dir(path), 0o700), os.WriteFile(path, nil, 0o600)))
			for at, mode := range map[string]uint32{filepath.Dir(path): tc.folder, path: tc.file} {
				must(t, errors.Join(os.Chown(at, 0, team), os.Chmod(at, os.FileMode(mode))))
			}
			got, err := Here().Openers(path)
			must(t, err)
			if want := kernelOpens(t, path, bob, 0xfffe); got.Everybody != want {
				t.Errorf("everybody: %t, and the kernel says %t", got.Everybody, want)
			}
			if got.Everybody { // but for the group, perhaps
				return
			}
			if want := kernelOpens(t, path, bob, team); (len(got.Groups) == 1 && got.Groups[0] == team) != want {
				t.Errorf("a member of the group: %+v, and the kernel says %t", got, want)
			}
		})
	}
}

// kernelOpens opens as another user, on a thread that ends with this.
func kernelOpens(t *testing.T, path string, uid, gid int) bool {
	t.Helper()
	opened, failed := make(chan bool), make(chan error)
	go func() {
		runtime.LockOSThread() // the thread ends with the goroutine
		group := uint32(gid)
		for _, call := range [][3]uintptr{
			{syscall.SYS_SETGROUPS, 1, uintptr(unsafe.Pointer(&group))},
			{syscall.SYS_SETRESGID, uintptr(gid), uintptr(gid)},
			{syscall.SYS_SETRESUID, uintptr(uid), uintptr(uid)},
		} {
			if _, _, e := syscall.RawSyscall(call[0], call[1], call[2], call[2]); e != 0 {
				failed <- e
				return
			}
		}
		for _, flag := range []int{unix.O_RDONLY, unix.O_WRONLY} {
			if fd, err := unix.Open(path, flag, 0); err == nil {
				_ = unix.Close(fd)
				opened <- true
				return
			}
		}
		opened <- false
	}()
	select {
	case err := <-failed:
		t.Fatal(err)
		return false
	case did := <-opened:
		return did
	}
}
