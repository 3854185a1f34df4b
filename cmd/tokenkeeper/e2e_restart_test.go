package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

func TestRestartWaitsForOpenRequestAndLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	r, s, schwab, saxo := startBoth(t)
	old := r.providerProcess("schwab")
	r.refreshed(saxoAccount) // its next due time is final
	before := r.until(func(st control.Status) bool { return !account(st, schwabAccount).InFlight })
	gate := schwab.HoldNextAnswer(schwabAccount)
	refreshed := r.forceRefresh(schwabAccount)
	came(t, gate.Entered, "the request is open")

	ctx, cancel := waittest.Context(t.Context(), waittest.Patience, r.steps)
	defer cancel()
	var stdout, stderr bytes.Buffer
	restart := s.command(ctx, "", "restart", "--json", "schwab")
	restart.Stdout, restart.Stderr = &stdout, &stderr
	if err := restart.Start(); err != nil {
		t.Fatal(err)
	}
	command := watchProcess(t, restart.Process.Pid)
	r.until(func(st control.Status) bool { return provider(st, "schwab").Restarts == 1 })
	if command.ended() || old.ended() || happened(gate.Gone) {
		t.Error("the restart did not wait for the request that was open")
	}
	gate.Release()
	if err := <-refreshed; err != nil {
		t.Errorf("the refresh during the restart: %v", err)
	}
	if err := restart.Wait(); err != nil {
		t.Fatalf("tokenkeeper restart: %v\n%s", err, stderr.String())
	}
	got := decode[control.RestartAnswer](t, stdout.String())
	if got.OldPID != old.pid || got.PID == old.pid || got.Generation != 2 {
		t.Errorf("restart says %+v; the old process was %d", got, old.pid)
	}
	old.mustHaveEnded()
	r.delivered(schwabAccount, 2)
	s.mustHold(t, schwab, schwabAccount)
	if c := schwab.Account(schwabAccount); c.Posts != 1 || c.Answered != 1 || c.CutProcessed != 0 {
		t.Errorf("schwab's broker saw %+v", c)
	}

	after := r.until(func(st control.Status) bool { return provider(st, "schwab").PID == got.PID })
	was, is := provider(before, "saxo"), provider(after, "saxo")
	if is.PID != was.PID || is.Generation != 1 || is.Restarts != 0 || is.Crashes != 0 {
		t.Errorf("saxo's process before %+v, after %+v", was, is)
	}
	if was, is := account(before, saxoAccount), account(after, saxoAccount); !is.Due.Equal(was.Due) || is.Version != was.Version {
		t.Errorf("saxo's account was due %s and is now due %s", was.Due, is.Due)
	}
	mustHavePosted(t, saxo, saxoAccount, 1)
	if named := s.tool(t, "", "restart", schwabAccount); named.code != exitFailure || !strings.Contains(named.stderr, "its provider is schwab") ||
		!strings.Contains(named.stderr, "restart that with: tokenkeeper restart schwab\n") {
		t.Errorf("restart of an account: %+v", named)
	}
	r.Stop()
	s.mustBeGone(t)
}

// Each restart is one new generation, however many refreshes are under way.
func TestRestartTwentyTimes(t *testing.T) {
	t.Parallel()
	schwab, saxo := startBrokers(t, 4*time.Second)
	s := newSite(t, bothYAML(schwab, saxo, "every: 1s, jitter: 100ms"))
	s.logIn(t, schwab, schwabAccount, format.Schwab)
	s.logIn(t, saxo, saxoAccount, format.SaxoCache)
	r := startRun(t, s)
	h := r.follow()
	other := r.providerProcess("saxo")
	last := provider(r.until(func(st control.Status) bool { return provider(st, "schwab").State == control.ProviderRunning }), "schwab")

	// Refreshes without a pause, so that every restart meets some.
	ctx, cancel := context.WithCancel(t.Context())
	busy := make(chan struct{})
	go func() {
		defer close(busy)
		for ctx.Err() == nil {
			_, _ = r.Client.Refresh(ctx, schwabAccount, true)
		}
	}()
	times := 20
	if testing.Short() && raceDetector {
		times = 6
	}
	for i := range times {
		out := s.tool(t, "", "restart", "--json", "schwab")
		if out.code != exitOK {
			t.Fatalf("restart %d: %+v", i+1, out)
		}
		got := decode[control.RestartAnswer](t, out.stdout)
		if got.Generation != last.Generation+1 || got.OldPID != last.PID || got.PID == last.PID {
			t.Errorf("restart %d: %+v, after PID %d, generation %d", i+1, got, last.PID, last.Generation)
		}
		last.PID, last.Generation = got.PID, got.Generation
	}
	cancel()
	<-busy

	// The last generation stays: it goes on refreshing.
	mark := h.mark()
	for range 2 {
		h.await(mark, about(event.Refreshed, schwabAccount))
		mark = h.mark()
	}
	st := r.until(func(st control.Status) bool { return !account(st, schwabAccount).InFlight })
	if p := provider(st, "schwab"); p.PID != last.PID || p.Generation != times+1 || p.Restarts != times || p.Crashes != 0 {
		t.Errorf("schwab after %d restarts: %+v, want PID %d", times, p, last.PID)
	}
	if p := provider(st, "saxo"); p.PID != other.pid || p.Generation != 1 {
		t.Errorf("saxo: %+v, its process was %d", p, other.pid)
	}
	c := schwab.Account(schwabAccount)
	if failed := h.since(0, refreshFailed(schwabAccount)); len(failed) > 0 || c.Refreshes != c.Posts || c.Refreshes < times || c.CutReceived+c.CutProcessed > 0 {
		t.Errorf("schwab's broker saw %+v; failures: %+v", c, failed)
	}
	if len(saxo.Reused()) > 0 || saxo.Account(saxoAccount).Repeats > 0 {
		t.Errorf("saxo's broker saw %+v", saxo.Account(saxoAccount))
	}
	r.Stop()
	s.mustBeGone(t)
}
