package statedir

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
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

// While a supervisor opens its store, which may take a while, others see that it starts.
func TestStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	if pid := Starting(path); pid != 0 {
		t.Errorf("before: PID %d", pid)
	}
	starting := announce(startingName(path))
	if again := announce(startingName(path)); again.fd != 0 {
		t.Error("two start")
	}
	if pid := Starting(path); pid != os.Getpid() || Displaced(path) != 0 {
		t.Errorf("PID %d starts", pid)
	}
	if err := starting.Close(); err != nil || Starting(path) != 0 {
		t.Errorf("afterwards one starts; %v", err)
	}
	log := slog.New(slog.DiscardHandler)
	d, err := Open(Config{Path: path, Wall: time.Now, Events: event.NewBus(log, time.Now), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	if pid := Starting(path); pid != os.Getpid() {
		t.Errorf("while the store is open and the socket is not: PID %d", pid)
	}
	d.Started()
	if pid := Starting(path); pid != 0 || Displaced(path) != os.Getpid() {
		t.Errorf("of one that has started: PID %d", pid)
	}
	if _, err := Observe(Config{Path: path, Events: event.NewBus(log, time.Now)}); !errors.Is(err, store.ErrInUse) || !strings.Contains(err.Error(), "stop it first") {
		t.Errorf("observed: %v", err)
	}
	if pid := Stopping(path); pid != 0 {
		t.Errorf("of one that runs: PID %d", pid)
	}
	d.Stops()
	if pid := Stopping(path); pid != os.Getpid() || Displaced(path) != os.Getpid() {
		t.Errorf("while it stops: PID %d", pid)
	}
	if err := d.Close(); err != nil || Stopping(path) != 0 {
		t.Errorf("afterwards one stops; %v", err)
	}
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
