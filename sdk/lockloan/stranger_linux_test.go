package lockloan

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/usertest"
)

// asStranger does something as another user of the machine.
func asStranger(t *testing.T, do func() error) error {
	t.Helper()
	usertest.NeedsRoot(t)
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // the thread ends with the goroutine
		if _, _, e := syscall.RawSyscall(syscall.SYS_SETRESUID, ^uintptr(0), usertest.Stranger, ^uintptr(0)); e != 0 {
			done <- e
			return
		}
		done <- do()
	}()
	return <-done
}

// openDir is a folder that everybody may write, as no spool's is.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "")
	if err == nil {
		err = os.Chmod(dir, 0o777)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func TestStrangerGetsNothing(t *testing.T) {
	usertest.NeedsRoot(t)
	dir := openDir(t)
	b, path := orphan(t)
	over := waits(offer(t, b, dir), time.Hour)
	if err := os.Chmod(filepath.Join(dir, socketName), 0o777); err != nil {
		t.Fatal(err)
	}
	got := 0
	err := asStranger(t, func() error { return Collect(t.Context(), dir, func(*os.File) { got++ }) })
	if err == nil || got > 0 {
		t.Errorf("another user got %d locks, %v", got, err)
	}
	if closed(over, 100*time.Millisecond) || isFree(t, path) {
		t.Error("he counts as the next supervisor")
	}
}

func TestStrangersOfferIsRefused(t *testing.T) {
	usertest.NeedsRoot(t)
	dir := openDir(t)
	var l *net.UnixListener
	if err := asStranger(t, func() (err error) {
		l, err = net.ListenUnix("unixpacket", &net.UnixAddr{Net: "unixpacket", Name: filepath.Join(dir, socketName)})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	err := Collect(t.Context(), dir, func(*os.File) { t.Error("something was taken over") })
	if err == nil || !strings.Contains(err.Error(), "user 34567") {
		t.Errorf("got %v", err)
	}
}
