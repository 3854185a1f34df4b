package main

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// A stopped process holds nothing but memory and looks alive to everybody but
// its parent.
func TestStoppedProviderIsReplaced(t *testing.T) {
	t.Parallel()
	schwab, saxo := startBrokers(t, time.Hour)
	s := newSite(t, bothYAML(schwab, saxo, "before_expiry: 5m"))
	r := startRun(t, s)
	s.logIn(t, schwab, schwabAccount, format.Schwab)
	s.logIn(t, saxo, saxoAccount, format.SaxoCache)
	stopped, other := r.providerProcess("saxo"), r.providerProcess("schwab")
	h := r.follow()

	stopped.signal(unix.SIGSTOP)
	h.await(0, about(event.ProviderStarted, "saxo"))
	stopped.mustHaveEnded()
	st := r.until(func(st control.Status) bool { return provider(st, "saxo").State == control.ProviderRunning })
	if p := provider(st, "saxo"); p.PID == stopped.pid || p.Generation != 2 || p.Crashes != 1 {
		t.Errorf("saxo after it was stopped: %+v", p)
	}
	if p := provider(st, "schwab"); p.PID != other.pid || p.Generation != 1 {
		t.Errorf("schwab, which nobody touched: %+v", p)
	}
	r.refreshed(saxoAccount)
	if got := saxo.Account(saxoAccount); got.Refreshes != 1 || got.Logins != 1 {
		t.Errorf("saxo's broker saw %+v", got)
	}
	r.Stop()
}

// One that is stopped with a request open is told to go on and is not killed:
// the answer may exist nowhere else.
func TestStoppedProviderWithOpenRequestIsContinued(t *testing.T) {
	t.Parallel()
	saxo := startBroker(t, brokersim.Config{Dialect: brokersim.Saxo})
	s := newSite(t, "accounts:\n"+accountYAML(saxoAccount, saxo, saxo.TokenURL(), "before_expiry: 5m")+filesYAML)
	s.logIn(t, saxo, saxoAccount, format.SaxoCache)
	r := startRun(t, s)
	stopped := r.providerProcess("saxo")

	gate := saxo.HoldNextAnswer(saxoAccount)
	done := r.forceRefresh(saxoAccount)
	came(t, gate.Entered, "the request is open")
	stopped.signal(unix.SIGSTOP)
	gate.Release()
	if err := <-done; err != nil {
		t.Errorf("the refresh during which the process was stopped: %v", err)
	}
	if got := saxo.Account(saxoAccount); got.Posts != 1 || got.Answered != 1 {
		t.Errorf("the broker saw %+v, want one request, answered", got)
	}
	st := r.until(func(st control.Status) bool { return account(st, saxoAccount).Version == 2 })
	if p := provider(st, "saxo"); p.PID != stopped.pid || p.Generation != 1 {
		t.Errorf("the process was replaced: %+v", p)
	}
	r.Stop()
}
