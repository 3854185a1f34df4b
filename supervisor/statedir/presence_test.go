package statedir

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

func mustAppear(t *testing.T, dir string) *presence {
	t.Helper()
	p, warning, err := appear(dir)
	if err != nil || warning != "" {
		t.Fatalf("got %v, %q", err, warning)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func TestPresence(t *testing.T) {
	dir := t.TempDir()
	if pid := Displaced(dir); pid != 0 {
		t.Errorf("before: PID %d", pid)
	}
	p := mustAppear(t, dir)
	mustAppear(t, t.TempDir()) // another directory is another one's
	if pid := Displaced(dir); pid != os.Getpid() {
		t.Errorf("PID %d, want %d", pid, os.Getpid())
	}
	_, _, err := appear(dir)
	if !errors.Is(err, store.ErrInUse) || !strings.Contains(err.Error(), fmt.Sprintf("process %d", os.Getpid())) {
		t.Errorf("the second one: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if pid := Displaced(dir); pid != 0 {
		t.Errorf("after: PID %d", pid)
	}
	mustAppear(t, dir)
}

// Whoever asks is not waited for, and never too many.
func TestPresenceIsAskedAgainAndAgain(t *testing.T) {
	dir := t.TempDir()
	p := mustAppear(t, dir)
	for range 3 {
		for range 2000 {
			if pid, _ := whoIs(presenceName(dir)); pid != os.Getpid() {
				t.Fatalf("PID %d", pid)
			}
		}
		p.look()
	}
}

// A name that somebody has whom nobody here can see stops nothing.
func TestPresenceOfSomebodyUnseen(t *testing.T) {
	dir := t.TempDir()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: presenceName(dir)}); err != nil {
		t.Fatal(err)
	}
	p, warning, err := appear(dir) // nobody listens, so nobody tells his PID
	if err != nil || warning == "" {
		t.Errorf("got %q, %v, want a warning", warning, err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}
