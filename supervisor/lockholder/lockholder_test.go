package lockholder

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// lock opens and locks a new file.
func lock(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "lock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFind(t *testing.T) {
	f := lock(t)
	h := Find(f.Name())
	if p := h.First(); len(h.Holding) != 1 || p.PID != os.Getpid() || p.Program == "" || p.Start == "" {
		t.Errorf("found %+v; want ourselves, %d", h, os.Getpid())
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_UN); err != nil {
		t.Fatal(err)
	}
	if h := Find(f.Name()); len(h.Holding)+len(h.Open) > 0 {
		t.Errorf("found %+v where nobody holds the lock", h)
	}
	if h := Find(f.Name() + "no"); len(h.Holding)+len(h.Open) > 0 {
		t.Errorf("found %+v where there is no file", h)
	}
}

// A process that locks and ends leaves its lock to the children that have the
// file open. flock locks the inherited descriptor 3 and ends; the shell keeps
// it, and the second shell shares it.
func TestFindTheHeir(t *testing.T) {
	flock, err := exec.LookPath("flock")
	if err != nil {
		t.Skip("the program flock of util-linux is not installed")
	}
	f := lock(t)
	if err := unix.Flock(int(f.Fd()), unix.LOCK_UN); err != nil {
		t.Fatal(err)
	}
	heirs := exec.Command("/bin/sh", "-c", flock+" -n 3 && sh -c 'echo locked && read _' && echo left && read _")
	heirs.ExtraFiles = []*os.File{f}
	in, err := heirs.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := heirs.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := heirs.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close(); _ = heirs.Wait() }()
	said := bufio.NewReader(out)
	says := func(want string) {
		t.Helper()
		if line, _ := said.ReadString('\n'); line != want+"\n" {
			t.Fatalf("the shell said %q, want %q", line, want)
		}
	}
	says("locked")
	name := f.Name()
	_ = f.Close() // else we would be an heir too
	if h := Find(name); len(h.Holding) != 2 || h.First().PID != heirs.Process.Pid {
		t.Errorf("found %s; want %d and its child", h, heirs.Process.Pid)
	}
	if _, err := in.Write([]byte("\n")); err != nil {
		t.Fatal(err)
	}
	says("left")
	if h := Find(name); len(h.Holding) != 1 || h.First().PID != heirs.Process.Pid {
		t.Errorf("found %s; want %d", h, heirs.Process.Pid)
	}
}

func TestTaker(t *testing.T) {
	const lines = `1: POSIX  ADVISORY  WRITE 11 08:01:7 0 EOF
2: -> FLOCK  ADVISORY  WRITE 14 08:01:7 0 EOF
3: FLOCK  ADVISORY  WRITE 0 08:01:7 0 EOF
4: FLOCK  ADVISORY  WRITE 13 08:01:77 0 EOF
5: FLOCK ADVISORY WRITE
6: FLOCK  ADVISORY  WRITE 15 00:2c:7 0 EOF
7: FLOCK  ADVISORY  READ  16 08:01:8 0 EOF
`
	proc := fakeProc(t)
	proc.write(t, "locks", lines)
	for inode, want := range map[uint64]int{7: 15, 77: 13, 8: 16, 9: 0} {
		if got := proc.taker(inode); got != want {
			t.Errorf("inode %d was locked by %d, want %d", inode, got, want)
		}
	}
}

func TestPrintable(t *testing.T) {
	if got := printable("a)b\x1b[2J\xff é"); got != "a)b?[2J� é" {
		t.Errorf("got %q", got)
	}
}
