package control_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/client"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// served is a supervisor with one account, main, whose token changes; version
// 0: it has none.
type served struct {
	backend
	mu  sync.Mutex
	tok control.TokenAnswer
}

func (s *served) set(version uint64, expiry time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tok = control.TokenAnswer{Account: "main", Version: version, AccessToken: "at-<&>", TokenType: "Bearer", Expiry: expiry}
}

func (s *served) Token(_ context.Context, account string) (control.TokenAnswer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case account != "main":
		return control.TokenAnswer{}, control.Errorf(control.CodeNotFound, "nothing for %q", account)
	case s.tok.Version == 0:
		return control.TokenAnswer{}, control.Errorf(control.CodeNoToken, "nothing yet for %q", account)
	}
	return s.tok, nil
}

// UsableToken knows of no other token than the one that there is.
func (s *served) UsableToken(ctx context.Context, req control.TokenRequest) (control.TokenAnswer, error) {
	got, err := s.Token(ctx, req.Account)
	switch {
	case err != nil || req.IsMetBy(got, time.Now()):
		return got, err
	case req.IfVersion > 0:
		late := control.Errorf(control.CodeNotYet, "account %s: not yet", req.Account)
		late.RetryAt = got.Expiry
		return control.TokenAnswer{}, late
	}
	return control.TokenAnswer{}, control.Errorf(control.CodeShortLived, "account %s: none lives so long", req.Account)
}

// consumerServer serves on socket, which a client may know already.
func consumerServer(t *testing.T, socket string, s *served) (bus *event.Bus, stop func()) {
	t.Helper()
	ln, err := control.Listen(socket, config.Control{})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	bus = event.NewBus(log, time.Now)
	return bus, serveOn(t, ln, control.NewServer(s, bus, log))
}

// TestConsumersReadAndWatch holds this server and the consumers' client to the
// same contract: the client knows nothing of this package.
func TestConsumersReadAndWatch(t *testing.T) {
	dir, err := os.MkdirTemp("", "tk-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "control.sock")
	c := client.New(socket)
	t.Cleanup(c.Close)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()

	type pair struct {
		tok client.Token
		err error
	}
	pairs, ended := make(chan pair), make(chan struct{})
	go func() {
		defer close(ended)
		for tok, err := range c.Watch(ctx, "main") {
			select {
			case pairs <- pair{tok, err}:
			case <-ctx.Done():
			}
		}
	}()
	expect := func(when string, version uint64, kind error) {
		t.Helper()
		p := wait(t, pairs)
		if !errors.Is(p.err, kind) || p.tok.Version != version {
			t.Fatalf("%s: got version %d, %v; want %d, %v", when, p.tok.Version, p.err, version, kind)
		}
	}

	expect("before the start", 0, client.ErrNotRunning)
	s := &served{}
	bus, stop := consumerServer(t, socket, s)
	expect("before the login", 0, client.ErrNoToken)
	expiry := time.Now().Add(time.Hour).Truncate(time.Second)
	renew := func(version uint64, typ event.Type) {
		s.set(version, expiry)
		bus.Publish(0, event.Event{Type: typ, Account: "main", Version: version, Message: "m"})
	}
	renew(1, event.LoggedIn)
	expect("after the login", 1, nil)
	renew(2, event.Refreshed)
	expect("after a refresh", 2, nil)

	tok, err := c.Token(ctx, "main")
	if err != nil || tok.AccessToken.Reveal() != "at-<&>" || tok.TokenType != "Bearer" || !tok.Expiry.Equal(expiry) || tok.Version != 2 {
		t.Errorf("Token: %+v, %v", tok, err)
	}
	if _, err := c.Token(ctx, "nobody"); !errors.Is(err, client.ErrNoAccount) {
		t.Errorf("an account that is not configured: %v", err)
	}
	if tok, err := c.WaitValid(ctx, "main", time.Minute); err != nil || tok.Version != 2 {
		t.Errorf("WaitValid: %+v, %v", tok, err)
	}

	if tok, err := c.UsableToken(ctx, "main", 50*time.Minute); err != nil || tok.Version != 2 || tok.AccessToken.Reveal() != "at-<&>" {
		t.Errorf("UsableToken: %+v, %v", tok, err)
	}
	if _, err := c.UsableToken(ctx, "main", 2*time.Hour); !errors.Is(err, client.ErrExpired) {
		t.Errorf("one that lives longer: %v", err)
	}
	if tok, err := c.NewerToken(ctx, "main", client.Token{Version: 1}); err != nil || tok.Version != 2 {
		t.Errorf("NewerToken: %+v, %v", tok, err)
	}
	if _, err := c.NewerToken(ctx, "main", tok); !errors.Is(err, client.ErrNotYet) {
		t.Errorf("a newer one than the newest: %v", err)
	} else if late, ok := errors.AsType[*client.NotYet](err); !ok || !late.Until.Equal(expiry) {
		t.Errorf("it does not say when: %v", err)
	}
	if _, err := c.NewerToken(ctx, "nobody", tok); !errors.Is(err, client.ErrNoAccount) {
		t.Errorf("of an account that is not configured: %v", err)
	}

	stop()
	expect("while it is down", 0, client.ErrNotRunning)
	s.set(3, expiry)
	consumerServer(t, socket, s)
	expect("after the restart", 3, nil)
	cancel()
	wait(t, ended)
}
