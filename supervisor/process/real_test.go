package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

func TestKilledProviderIsReplaced(t *testing.T) {
	r := runReal(t)
	r.await(event.ProviderStarted)
	pid := r.member.Status().PID
	began := time.Now()
	_ = unix.Kill(pid, unix.SIGKILL)
	e := r.await(event.ProviderStopped)
	if !strings.Contains(e.Message, "killed by SIGKILL") {
		t.Errorf("message %q", e.Message)
	}
	r.await(event.ProviderStarted)
	if s := r.member.Status(); s.PID == pid || s.PID == 0 || s.Generation != 2 || s.Crashes != 1 || s.State != Running {
		t.Errorf("status %+v", s)
	}
	t.Logf("replaced after %s", time.Since(began))
}

// It is killed after the two seconds of TestHangs; how long another one takes to
// start is the machine's affair.
func TestStoppedIdleProviderIsReplaced(t *testing.T) {
	r := runReal(t)
	r.await(event.ProviderStarted)
	pid := r.member.Status().PID
	began := time.Now()
	_ = unix.Kill(pid, unix.SIGSTOP)
	r.await(event.ProviderStarted)
	t.Logf("replaced after %s", time.Since(began))
	gone(t, pid, 0)
}

func TestStoppedProviderInFlightContinues(t *testing.T) {
	r, b := runReal(t), newBroker(t)
	r.await(event.ProviderStarted)
	pid := r.member.Status().PID
	r.work.calls <- request("one", "token-1", b.path)
	conn := b.sent(t)
	for range 3 { // each of which is news
		_ = unix.Kill(pid, unix.SIGSTOP)
		awaitLog(t, r.log, "runs again")
		r.log.reset()
	}
	_, _ = io.WriteString(conn, "token-2\n")
	if err := r.result(); err != nil {
		t.Errorf("the refresh failed: %v", err)
	}
	if s := r.member.Status(); s.PID != pid || s.Crashes != 0 {
		t.Errorf("status %+v", s)
	}
}

func TestProviderKilledInFlight(t *testing.T) {
	r, b := runReal(t), newBroker(t)
	r.await(event.ProviderStarted)
	r.work.calls <- request("one", "token-1", b.path)
	b.sent(t)
	_ = unix.Kill(r.member.Status().PID, unix.SIGKILL)
	if err := r.result(); !errors.Is(err, sdk.ErrConnection) {
		t.Errorf("the refresh: %v", err)
	}
	r.await(event.ProviderStarted)
}

func TestRestartHearsTheAnswerOut(t *testing.T) {
	r, b := runReal(t), newBroker(t)
	r.await(event.ProviderStarted)
	pid := r.member.Status().PID
	r.work.calls <- request("one", "token-1", b.path)
	conn := b.sent(t)
	restarted := make(chan Restarted, 1)
	go func() {
		got, err := r.member.Restart(context.Background())
		if err != nil {
			t.Error(err)
		}
		restarted <- got
	}()
	select {
	case got := <-restarted:
		t.Fatalf("%+v although the broker has not answered", got)
	case <-time.After(200 * time.Millisecond):
	}
	_, _ = io.WriteString(conn, "token-2\n")
	if err := r.result(); err != nil {
		t.Errorf("the refresh: %v", err)
	}
	if got := <-restarted; got.OldPID != pid || got.PID == pid || got.Generation != 2 {
		t.Errorf("%+v", got)
	}
	gone(t, pid, 0)
}

func TestNothingIsLeftBehind(t *testing.T) {
	live := func() {
		r := runReal(t)
		r.await(event.ProviderStarted)
		_ = unix.Kill(r.member.Status().PID, unix.SIGKILL)
		r.await(event.ProviderStarted)
		for range 2 {
			if _, err := r.member.Restart(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		pid := r.member.Status().PID
		r.stop()
		gone(t, pid, 0)
		if left, _ := filepath.Glob(filepath.Join(r.dir, "sockets", "*")); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
	}
	live() // the runtime opens descriptors of its own
	before := descriptors(t)
	live()
	// The last words of a process are read beside, and their pipes are closed
	// then; what is never given back never comes to this.
	waittest.Until(t, fmt.Sprintf("no more descriptors after four generations than the %d before", before),
		func() bool { return descriptors(t) <= before })
}
