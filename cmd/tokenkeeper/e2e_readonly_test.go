package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// TestReadOnlyStateDirectory starts on a state directory that can only be read,
// as after a reboot from a dying disk: with fallback_dir, tokens are refreshed
// and delivered, the verbs find the supervisor, a kill loses nothing, and all
// moves back when the disk is well again.
func TestReadOnlyStateDirectory(t *testing.T) {
	l := login{"saxo-live", "saxo", format.SaxoCache, broker(t, brokersim.Saxo)}
	s := newSite(t, "fallback_dir: fallback\n"+thirdPartyYAML([]login{l}, ""))
	state := s.path("state")
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", state, "tmpfs", 0, "size=16m,mode=700"); err != nil {
		t.Skipf("a file system can't be mounted, which needs root: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(state, unix.MNT_DETACH) })
	remount := func(flags uintptr) {
		t.Helper()
		if err := unix.Mount("", state, "", unix.MS_REMOUNT|flags, ""); err != nil {
			t.Fatal(err)
		}
	}
	s.logInEarlier(t, l.broker, l.account, l.layout, time.Hour)
	remount(unix.MS_RDONLY)

	if got := s.tool(t, "", "check"); got.code != exitOK {
		t.Errorf("check: %+v", got)
	}
	for version := uint64(2); version <= 3; version++ {
		r := startRun(t, s)
		sockets, err := filepath.Glob(s.path("fallback/*/control.sock"))
		if err != nil || len(sockets) != 1 {
			t.Fatalf("the fallback directory has the control sockets %v, %v", sockets, err)
		}
		r.Client = control.NewClient(sockets[0])
		r.until(func(st control.Status) bool { return provider(st, l.provider).State == control.ProviderRunning })
		if version > 2 { // the first one is due at the start
			if got := s.tool(t, "", "refresh", l.account, "--force"); got.code != exitOK {
				t.Errorf("refresh: %+v", got)
			}
		}
		r.until(func(st control.Status) bool { return deliveredAll(st, []login{l}, version) })
		delivered(t, s, l)
		r.Kill()
		s.awaitGone(t)
	}

	remount(0)
	r := startRun(t, s)
	r.until(func(st control.Status) bool {
		return provider(st, l.provider).State == control.ProviderRunning && deliveredAll(st, []login{l}, 3)
	})
	if got := s.tool(t, "", "refresh", l.account, "--force"); got.code != exitOK {
		t.Errorf("refresh: %+v", got)
	}
	r.until(func(st control.Status) bool { return deliveredAll(st, []login{l}, 4) })
	stop(t, s, r)
	delivered(t, s, l)
}
