package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// This file is what the tests share that kill, stop and disturb: both brokers
// with an account each, every event that happens, and waiting for processes.

// The accounts of every test with both brokers.
const (
	schwabAccount = "schwab-main"
	saxoAccount   = "saxo-sim"
)

// startBroker starts a simulated broker on a socket of its own.
func startBroker(t *testing.T, cfg brokersim.Config) *brokersim.Server {
	t.Helper()
	sim := brokersim.New(cfg)
	if err := sim.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	return sim
}

// startBrokers starts Schwab and Saxo with access tokens of that lifetime.
func startBrokers(t *testing.T, access time.Duration) (schwab, saxo *brokersim.Server) {
	t.Helper()
	return startBroker(t, brokersim.Config{Dialect: brokersim.Schwab, AccessLifetime: access}),
		startBroker(t, brokersim.Config{Dialect: brokersim.Saxo, AccessLifetime: access, RefreshLifetime: time.Hour})
}

// accountYAML is one account of a simulated broker; refresh is its rule.
func accountYAML(name string, sim *brokersim.Server, tokenURL, refresh string) string {
	c := sim.Config()
	return fmt.Sprintf(`  %s:
    provider: %s
    client_id: %s
    client_secret: %s
    redirect_url: %s
    settings: {token_url: "%s"}
    refresh: {%s}
`, name, c.Dialect, c.ClientID, c.ClientSecret, c.RedirectURL, tokenURL, refresh)
}

// bothYAML is the accounts of both brokers under the same rule, and a file
// sink that carries everything.
func bothYAML(schwab, saxo *brokersim.Server, refresh string) string {
	return "accounts:\n" + accountYAML(schwabAccount, schwab, schwab.TokenURL(), refresh) +
		accountYAML(saxoAccount, saxo, saxo.TokenURL(), refresh) + filesYAML
}

const filesYAML = `sinks:
  files: {type: file, path: "{account}.json", include_refresh_token: true}
`

// followed is every event since it was begun.
type followed struct {
	t       *testing.T
	mu      sync.Mutex
	events  []event.Event
	changed chan struct{} // closed and replaced at every event
}

// follow begins a history. It ends with the process or the test.
func (r *running) follow() *followed {
	r.t.Helper()
	h := &followed{t: r.t, changed: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	started, done := make(chan struct{}), make(chan struct{})
	c := control.NewClient(r.Client.Socket())
	go func() {
		defer close(done)
		_ = c.Events(ctx, func() { close(started) }, func(e event.Event) error {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.events = append(h.events, e)
			close(h.changed)
			h.changed = make(chan struct{})
			return nil
		})
	}()
	r.t.Cleanup(func() {
		cancel()
		<-done
		c.Close()
	})
	select {
	case <-started:
	case <-done:
		r.t.Fatal("the events can't be followed")
	}
	return h
}

// mark is where the history stands, for since and await.
func (h *followed) mark() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.events)
}

// since returns the events from mark on that match.
func (h *followed) since(mark int, match func(event.Event) bool) []event.Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	var found []event.Event
	for _, e := range h.events[mark:] {
		if match(e) {
			found = append(found, e)
		}
	}
	return found
}

// await returns the first event from mark on that matches.
func (h *followed) await(mark int, match func(event.Event) bool) event.Event {
	h.t.Helper()
	late := waittest.Late(h.t)
	for {
		h.mu.Lock()
		changed := h.changed
		h.mu.Unlock()
		if found := h.since(mark, match); len(found) > 0 {
			return found[0]
		}
		select {
		case <-changed:
		case <-late:
			h.t.Fatalf("no such event came; these did: %+v", h.since(mark, func(event.Event) bool { return true }))
		}
	}
}

// about matches the events of one type about an account or a provider.
func about(typ event.Type, name string) func(event.Event) bool {
	return func(e event.Event) bool {
		return e.Type == typ && (e.Account == name || e.Account == "" && e.Provider == name)
	}
}

// deadAlready is in what is told of a token that died before it could be stored: those of
// tests live for seconds, and a busy machine may take as long.
const deadAlready = "an access token that is dead already"

// refreshFailed matches the failed refreshes of an account, without those of tokens that
// were dead already.
func refreshFailed(name string) func(event.Event) bool {
	return func(e event.Event) bool {
		return about(event.RefreshFailed, name)(e) && !strings.Contains(e.Message, deadAlready)
	}
}

// handle is a process that may be no child of this one.
type handle struct {
	t   *testing.T
	pid int
	fd  int
}

// watchProcess takes hold of a process before it ends, so that its PID can't
// come to mean another.
func watchProcess(t *testing.T, pid int) *handle {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatalf("take hold of process %d: %v", pid, err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return &handle{t, pid, fd}
}

func (p *handle) signal(sig unix.Signal) {
	p.t.Helper()
	if err := unix.PidfdSendSignal(p.fd, sig, nil, 0); err != nil {
		p.t.Fatalf("send %v to process %d: %v", sig, p.pid, err)
	}
}

// ended says whether the process has ended.
func (p *handle) ended() bool {
	p.t.Helper()
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			p.t.Fatalf("look at process %d: %v", p.pid, err)
		}
		return n > 0
	}
}

// mustEnd waits for the end of the process.
func (p *handle) mustEnd() {
	p.t.Helper()
	waittest.Until(p.t, fmt.Sprintf("the end of process %d", p.pid), p.ended)
}

// mustEndSoon is mustEnd for one that has lost its supervisor and that nothing holds up:
// it must not take as long as an attempt may last.
func (p *handle) mustEndSoon() {
	p.t.Helper()
	waittest.Within(p.t, soon, fmt.Sprintf("the end of process %d", p.pid), p.ended)
}

// mustHaveEnded fails the test if the process is still there.
func (p *handle) mustHaveEnded() {
	p.t.Helper()
	if !p.ended() {
		p.t.Fatalf("process %d is still there", p.pid)
	}
}

// soon is within how many beats something happens that waits for nothing.
const soon = 8

// kill ends the process at once and returns when it is gone.
func (p *handle) kill() {
	p.t.Helper()
	p.signal(unix.SIGKILL)
	p.mustEnd()
}

// providerProcess takes hold of the process of a provider that runs.
func (r *running) providerProcess(name string) *handle {
	r.t.Helper()
	st := r.until(func(st control.Status) bool { return provider(st, name).State == control.ProviderRunning })
	return watchProcess(r.t, provider(st, name).PID)
}

// came waits for a channel that should close in moments.
func came(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-waittest.Late(t):
		t.Fatalf("this did not happen: %s", what)
	}
}

// happened says whether c is closed.
func happened(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// forceRefresh asks for a refresh and does not wait for it; the answer comes
// on the channel.
func (r *running) forceRefresh(account string) <-chan error {
	ctx, cancel := waittest.Context(context.Background(), waittest.Patience, r.steps)
	done := make(chan error, 1)
	go func() {
		defer cancel()
		_, err := r.Client.Refresh(ctx, account, true)
		done <- err
	}()
	return done
}

// refreshed forces a refresh that must succeed.
func (r *running) refreshed(account string) {
	r.t.Helper()
	if err := <-r.forceRefresh(account); err != nil {
		r.t.Fatalf("refresh %s: %v", account, err)
	}
}

// tokenFileOf is a file with the tokens of a login at issued.
func tokenFileOf(t *testing.T, g brokersim.Grant, layout string, issued time.Time) []byte {
	t.Helper()
	body, err := format.Encode(layout, format.Document{
		Account: g.Account, AccessToken: sdk.NewSecret(g.AccessToken), RefreshToken: sdk.NewSecret(g.RefreshToken),
		IDToken: sdk.NewSecret(g.IDToken), TokenType: g.TokenType,
		IssuedAt: issued, Expiry: issued.Add(g.ExpiresIn), LoginAt: issued,
	}, format.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// tokenFile is what tests read of a file in our own format.
type tokenFile struct {
	Version uint64 `json:"version"`
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
}

// decodeFile reads a JSON file that may have fields that T has not.
func decodeFile[T any](t *testing.T, path string) T {
	t.Helper()
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var v T
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return v
}

// awaitSpooled waits until the provider's spool holds an answer for account. It
// looks at a copy, because the spool is locked by the process that it belongs
// to.
func (s *site) awaitSpooled(t *testing.T, provider, account string) {
	t.Helper()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	late := waittest.Late(t)
	for {
		if s.isSpooled(t, provider, account) {
			return
		}
		select {
		case <-look.C:
		case <-late:
			t.Fatalf("no answer for %s is in the spool: %+v", account, s.spooled(t, provider))
		}
	}
}

// isSpooled says whether the provider's spool holds an answer for account.
func (s *site) isSpooled(t *testing.T, provider, account string) bool {
	t.Helper()
	return slices.ContainsFunc(s.spooled(t, provider), func(e spool.Entry) bool {
		return e.Account == account && e.Progress == spool.Answered
	})
}

// spooled is what a provider's spool holds.
func (s *site) spooled(t *testing.T, provider string) []spool.Entry {
	t.Helper()
	dir := t.TempDir()
	slots, err := filepath.Glob(filepath.Join(s.path("state/spool"), provider, "slot-*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, slot := range slots {
		b, err := os.ReadFile(slot)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, filepath.Base(slot)), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	sp, err := spool.Open(context.Background(), dir, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sp.Close() }()
	return sp.Unsettled()
}
