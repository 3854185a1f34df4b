package lockholder

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// fake is a search through processes that are only told of.
type fake struct {
	search
	file string // whose lock is asked for
}

func fakeProc(t *testing.T) fake {
	t.Helper()
	dir := t.TempDir()
	f := fake{search{proc: dir, self: 1, tells: func() bool { return true }}, filepath.Join(dir, "file")}
	f.write(t, "file", "")
	f.write(t, "other", "")
	return f
}

func (f fake) write(t *testing.T, name, content string) {
	t.Helper()
	name = filepath.Join(f.proc, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// process adds one that has a file open, and a lock on it if there is a line.
func (f fake) process(t *testing.T, pid int, name, file, line string) {
	t.Helper()
	at := strconv.Itoa(pid)
	f.write(t, at+"/stat", fmt.Sprintf("%d (%s) S %s\n", pid, name, strings.Repeat("9 ", 30)))
	f.write(t, at+"/fdinfo/3", "pos:\t0\n"+line)
	if err := os.MkdirAll(filepath.Join(f.proc, at, "fd"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(f.proc, file), filepath.Join(f.proc, at, "fd", "3")); err != nil {
		t.Fatal(err)
	}
}

// took is the kernel's line of a lock on the file that pid took.
func (f fake) took(t *testing.T, pid int) string {
	t.Helper()
	info, err := os.Stat(f.file)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("1: FLOCK  ADVISORY  WRITE %d 08:01:%d 0 EOF\n", pid, info.Sys().(*syscall.Stat_t).Ino)
}

func TestWitnesses(t *testing.T) {
	for name, c := range map[string]struct {
		set  func(t *testing.T, f *fake)
		want string
	}{
		"nobody is seen": {
			func(*testing.T, *fake) {},
			"a process that can't be seen from here: in another container or on another machine",
		},
		"its taker has gone, and others share it": {
			func(t *testing.T, f *fake) {
				f.process(t, 20, "bot.sh", "file", "lock:\t"+f.took(t, 0))
				f.process(t, 21, "curl", "file", "lock:\t"+f.took(t, 0))
				f.process(t, 22, "waits", "file", "")
				f.process(t, 23, "elsewhere", "other", "lock:\t"+f.took(t, 0))
			},
			"bot.sh (process 20) and curl (process 21), who share it",
		},
		"another process has its taker's PID now": {
			func(t *testing.T, f *fake) {
				f.write(t, "locks", f.took(t, 19))
				f.process(t, 19, "innocent", "other", "")
				f.process(t, 20, "bot.sh", "file", "lock:\t"+f.took(t, 19))
			},
			"bot.sh (process 20)",
		},
		"those who have it open only wait": {
			func(t *testing.T, f *fake) { f.process(t, 20, "waits", "file", "") },
			"a process that can't be seen from here: in another container or on another machine",
		},
		"the kernel does not tell who carries it": {
			func(t *testing.T, f *fake) {
				f.tells = func() bool { return false }
				f.process(t, f.self, "we", "file", "")
				f.process(t, 20, "bot.sh", "file", "")
				f.process(t, 21, "b", "file", "")
				f.process(t, 22, "elsewhere", "other", "")
			},
			"one of those who have it open: bot.sh (process 20) or b (process 21)",
		},
		"the same, with one": {
			func(t *testing.T, f *fake) {
				f.tells = func() bool { return false }
				f.process(t, 20, "bot.sh", "file", "")
			},
			"perhaps bot.sh (process 20), which has it open",
		},
		"another user's": {
			func(t *testing.T, f *fake) {
				f.process(t, 20, "bot.sh", "file", "lock:\t"+f.took(t, 20))
				f.write(t, "20/status", "Name:\tbot.sh\nUid:\t34567\t0\t0\t0\n")
			},
			"bot.sh (process 20 of user 34567)",
		},
		"its taker may not be looked into": {
			func(t *testing.T, f *fake) {
				f.write(t, "locks", f.took(t, 20))
				f.process(t, 20, "theirs", "file", "lock:\t"+f.took(t, 20))
				f.conceal(t, 20)
			},
			"theirs (process 20)",
		},
		"another user's process may have it": {
			func(t *testing.T, f *fake) {
				f.process(t, 20, "theirs", "other", "")
				f.conceal(t, 20)
			},
			"a process that can't be seen from here: another user's, in another container or on another machine",
		},
		"more than can be read": {
			func(t *testing.T, f *fake) {
				for pid := 20; pid < 28; pid++ {
					f.process(t, pid, "bot", "file", "lock:\t"+f.took(t, 0))
				}
			},
			"bot (process 20), bot (process 21), bot (process 22), bot (process 23), bot (process 24) and 3 more, who share it",
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := fakeProc(t)
			c.set(t, &f)
			if got := f.modest().String(); got != c.want {
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
}

// conceal makes a process one of another user.
func (f fake) conceal(t *testing.T, pid int) {
	t.Helper()
	dir := filepath.Join(f.proc, strconv.Itoa(pid), "fd")
	if err := os.Chmod(dir, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(dir, 0o700) })
}

// modest looks with the rights that modes give: root has more.
func (f fake) modest() Holders {
	found := make(chan Holders)
	go func() {
		runtime.LockOSThread() // and it ends with this goroutine
		header, none := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, [2]unix.CapUserData{}
		_ = unix.Capset(&header, &none[0])
		found <- f.find(f.file)
	}()
	return <-found
}

func TestReleaseNamesTheCommand(t *testing.T) {
	one, two := Process{PID: 7, Program: "a"}, Process{PID: 8, Program: "b"}
	for want, h := range map[string]Holders{
		"(kill 7)":                           {Holding: []Process{one}},
		"(kill 7 8)":                         {Holding: []Process{one, two}},
		"if it hangs, end it, and the lock ": {Open: []Process{one}}, // who may be innocent
	} {
		if got := h.Release(); !strings.Contains(got, want) {
			t.Errorf("%q lacks %q", got, want)
		}
	}
}
