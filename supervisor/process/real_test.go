package process

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/peer"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

func TestKilledProviderIsReplaced(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
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
	t.Parallel()
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
	t.Parallel()
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
	t.Parallel()
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

// A process of this very program and the supervisor know each other by certificates on
// P-256; a plugin that knows nothing of that has AutoMTLS's, and so has the
// supervisor for any other program.
func TestCurvesOfTheConnection(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]elliptic.Curve{ourselves: elliptic.P256(), self: elliptic.P521()} {
		c := realCommand(t.TempDir(), nil)
		c.Path, c.Trust = path, []int{os.Getuid()}
		in, err := c.launch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var p peer.Peer
		if err := in.conn.Invoke(t.Context(), "/grpc.health.v1.Health/Check", &grpc_health_v1.HealthCheckRequest{Service: "plugin"},
			&grpc_health_v1.HealthCheckResponse{}, grpc.Peer(&p)); err != nil {
			t.Error(err)
		}
		in.End(10 * time.Second)
		info, ok := p.AuthInfo.(credentials.TLSInfo)
		if !ok {
			t.Fatalf("%s: no TLS, but %v", path, p.AuthInfo)
		}
		if key, ok := info.State.PeerCertificates[0].PublicKey.(*ecdsa.PublicKey); !ok || key.Curve != want {
			t.Errorf("%s: its key is on %v, want %s", path, key.Curve, want.Params().Name)
		}
		if info.State.Version != tls.VersionTLS13 {
			t.Errorf("%s: it speaks TLS %x", path, info.State.Version)
		}
	}
}
