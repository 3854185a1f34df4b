package providertest

import (
	"syscall"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/internal/hosted"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
)

// meaningless are the signals that a service manager or a terminal sends to
// everybody in a service.
var meaningless = []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGABRT, syscall.SIGINT}

// soon is within how many beats something happens that nothing holds up.
const soon = 10

// serveVariable names the test whose provider a process should serve.
const serveVariable = "TOKENKEEPER_PROVIDERTEST"

func signals(t *testing.T, p *hosted.Process) {
	t.Helper()
	for _, sig := range meaningless {
		if err := p.Signal(sig); err != nil {
			t.Errorf("send %v: %v", sig, err)
		}
	}
}

// inMidRequest makes a call and returns when its request is open. The outcome
// comes through done.
func inMidRequest(t *testing.T, arrived <-chan struct{}, call func() error) (done <-chan error) {
	t.Helper()
	outcome := make(chan error, 1)
	go func() { outcome <- call() }()
	select {
	case <-arrived:
	case err := <-outcome:
		t.Fatalf("no request came: %v", err)
	}
	return outcome
}

// testSignals: what is sent to a whole service means nothing to a provider, not
// in mid-request and not afterwards.
func testSignals(t *testing.T, s trial) {
	b, arrived, release := s.holdBack(t)
	p, remote := s.host(t, t.TempDir())
	ctx := call(t)
	done := inMidRequest(t, arrived, func() error {
		_, err := s.next(ctx, remote, s.request("one", b))
		return err
	})
	signals(t, p)
	if err := p.Ended(1); err == nil {
		t.Fatal("the process ended at a signal, with a request open")
	}
	release()
	if err := <-done; err != nil {
		t.Fatalf("the request that was open at the signals: %v", err)
	}
	if err := remote.Settle(ctx, "one"); err != nil {
		t.Fatal(err)
	}
	signals(t, p)
	if err := p.Ended(1); err == nil {
		t.Fatal("the process ended at a signal, although its lifeline is open")
	}
	if _, err := s.next(ctx, remote, s.request("two", b)); err != nil {
		t.Errorf("an attempt after the signals: %v", err)
	}
	b.wantPosts(t, 2)
}

// testLifeline: an idle process ends with its lifeline.
func testLifeline(t *testing.T, s trial) {
	p, remote := s.host(t, t.TempDir())
	if err := remote.Ping(call(t)); err != nil {
		t.Fatal(err)
	}
	p.LetGo()
	if err := p.Ended(soon); err != nil {
		t.Errorf("idle, after the end of its lifeline: %v", err)
	}
}

// testLifelineInMidRequest: a process whose supervisor dies in mid-request, and
// to which the service manager then sends its signals, finishes, spools the
// answer and exits.
func testLifelineInMidRequest(t *testing.T, s trial) {
	b, arrived, release := s.holdBack(t)
	dir := t.TempDir()
	p, remote := s.host(t, dir)
	ctx := call(t)
	done := inMidRequest(t, arrived, func() error {
		_, err := s.next(ctx, remote, s.request("one", b))
		return err
	})
	p.LetGo()
	_ = p.Conn.Close() // the supervisor is dead
	<-done
	signals(t, p)
	if err := p.Ended(1); err == nil {
		t.Fatal("the process ended although a request is open")
	}
	release()
	if err := p.Ended(soon); err != nil {
		t.Errorf("after the answer had come: %v", err)
	}

	_, remote = s.host(t, dir)
	left, err := remote.Unsettled(ctx)
	entries := left.Entries
	if err != nil || len(entries) != 1 || entries[0].Progress != spool.Answered {
		t.Fatalf("the spool lists %+v (%v), want the answered attempt", entries, err)
	}
	a, err := s.answer(ctx, remote, s.request("one", b))
	if err != nil || !a.Recovered {
		t.Fatalf("recovery by the next process: recovered %t, %v", a.Recovered, err)
	}
	s.wantToken(t, a.Token, s.access(newAccess), newRefresh)
	b.wantPosts(t, 1)
}
