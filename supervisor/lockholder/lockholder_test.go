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
	p, ok := Find(f.Name())
	if !ok || p.PID != os.Getpid() || p.Program == "" || p.Start == "" {
		t.Errorf("found %+v, %v; want ourselves, %d", p, ok, os.Getpid())
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_UN); err != nil {
		t.Fatal(err)
	}
	if p, ok := Find(f.Name()); ok {
		t.Errorf("found %+v where nobody holds the lock", p)
	}
	if p, ok := Find(f.Name() + "no"); ok {
		t.Errorf("found %+v where there is no file", p)
	}
}

// A process that locks and ends leaves its lock to the children that have the
// file open.
func TestFindTheHeir(t *testing.T) {
	flock, err := exec.LookPath("flock")
	if err != nil {
		t.Skip("the program flock of util-linux is not installed")
	}
	f := lock(t)
	if err := unix.Flock(int(f.Fd()), unix.LOCK_UN); err != nil {
		t.Fatal(err)
	}
	// flock locks the inherited descriptor 3 and ends; the shell keeps it.
	cmd := exec.Command("/bin/sh", "-c", flock+" -n 3 && echo locked && read _")
	cmd.ExtraFiles = []*os.File{f}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close(); _ = cmd.Wait() }()
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "locked\n" {
		t.Fatalf("the shell said %q", line)
	}
	name := f.Name()
	_ = f.Close() // else we would be an heir too
	if p, ok := Find(name); !ok || p.PID != cmd.Process.Pid {
		t.Errorf("found %+v, %v; want %d", p, ok, cmd.Process.Pid)
	}
}

func TestLocker(t *testing.T) {
	const lines = `1: POSIX  ADVISORY  WRITE 11 08:01:7 0 EOF
2: FLOCK  ADVISORY  READ  12 08:01:7 0 EOF
3: FLOCK  ADVISORY  WRITE 0 08:01:7 0 EOF
4: FLOCK  ADVISORY  WRITE 13 08:01:77 0 EOF
5: -> FLOCK  ADVISORY  WRITE 14 08:01:7 0 EOF
6: FLOCK ADVISORY WRITE
7: FLOCK  ADVISORY  WRITE 15 00:2c:7 0 EOF
`
	if got := locker([]byte(lines), 7); got != 15 {
		t.Errorf("got %d, want 15", got)
	}
	if got := locker([]byte("pos:\t0\nlock:\t1: FLOCK  ADVISORY  WRITE 16 fe:00:8 0 EOF\n"), 8); got != 16 {
		t.Errorf("out of fdinfo: got %d, want 16", got)
	}
	if got := locker([]byte(lines), 8); got != 0 {
		t.Errorf("got %d for a file that nobody locked", got)
	}
}

func TestPrintable(t *testing.T) {
	if got := printable("a)b\x1b[2J\xff é"); got != "a)b?[2J� é" {
		t.Errorf("got %q", got)
	}
}
