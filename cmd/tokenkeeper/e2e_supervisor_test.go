package main

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// startBoth starts the service with an account at both brokers, logged in and
// delivered, neither of which is due.
func startBoth(t *testing.T) (r *running, s *site, schwab, saxo *brokersim.Server) {
	t.Helper()
	schwab, saxo = startBrokers(t, time.Hour)
	s = newSite(t, bothYAML(schwab, saxo, "before_expiry: 5m"))
	s.logIn(t, schwab, schwabAccount, format.Schwab)
	s.logIn(t, saxo, saxoAccount, format.SaxoCache)
	r = startRun(t, s)
	r.delivered(schwabAccount, 1)
	r.delivered(saxoAccount, 1)
	r.until(func(st control.Status) bool {
		return provider(st, "schwab").State == control.ProviderRunning && provider(st, "saxo").State == control.ProviderRunning
	})
	return r, s, schwab, saxo
}

// delivered waits until every sink of the account has at least that version.
func (r *running) delivered(name string, version uint64) {
	r.t.Helper()
	r.until(func(st control.Status) bool {
		a := account(st, name)
		for _, d := range a.Sinks {
			if d.Version < version {
				return false
			}
		}
		return a.Version >= version
	})
}

// mustHold fails the test unless the file sink has the broker's newest tokens
// and these work.
func (s *site) mustHold(t *testing.T, sim *brokersim.Server, name string) {
	t.Helper()
	s.mustHoldOf(t, sim, name, name)
}

// mustHoldOf is mustHold for an account at which a person of another name has
// logged in.
func (s *site) mustHoldOf(t *testing.T, sim *brokersim.Server, name, person string) {
	t.Helper()
	got := decodeFile[tokenFile](t, s.path(name+".json"))
	now, _ := sim.Current(person)
	if got.Access != now.AccessToken || got.Refresh != now.RefreshToken || !sim.AccessValid(got.Access) || !sim.RefreshValid(got.Refresh) {
		t.Errorf("account %s: the file's access token is the newest: %t, the refresh token: %t; the grant is alive: %t",
			name, got.Access == now.AccessToken, got.Refresh == now.RefreshToken, now.Alive)
	}
}

// goesOn starts the service again and sees that nobody has to log in.
func goesOn(t *testing.T, s *site, schwab, saxo *brokersim.Server) {
	t.Helper()
	r := startRun(t, s)
	for name, sim := range map[string]*brokersim.Server{schwabAccount: schwab, saxoAccount: saxo} {
		before := sim.Account(name)
		r.refreshed(name)
		st := r.until(func(st control.Status) bool { return account(st, name).State == control.AccountValid })
		r.delivered(name, account(st, name).Version)
		s.mustHold(t, sim, name)
		if now := sim.Account(name); now.Logins != 1 || now.Reused != 0 || now.Repeats != 0 || now.Refreshes != before.Refreshes+1 {
			t.Errorf("account %s: before %+v, after %+v", name, before, now)
		}
	}
	r.Stop()
	s.mustBeGone(t)
}

func TestKilledIdleSupervisorLeavesNobodyBehind(t *testing.T) {
	t.Parallel()
	r, s, schwab, saxo := startBoth(t)
	providers := []*handle{r.providerProcess("schwab"), r.providerProcess("saxo")}
	r.Kill()
	for _, p := range providers {
		p.mustEndSoon()
	}
	goesOn(t, s, schwab, saxo)
}

// The process that has sent the refresh token outlives its supervisor until
// the answer is in its spool, where the next supervisor finds it.
func TestKilledSupervisorsOpenRequestIsSpooled(t *testing.T) {
	for _, window := range []struct {
		name string
		hold func(*brokersim.Server) *brokersim.Gate
	}{
		{"received", func(sim *brokersim.Server) *brokersim.Gate { return sim.HoldNext(saxoAccount) }},
		{"processed", func(sim *brokersim.Server) *brokersim.Gate { return sim.HoldNextAnswer(saxoAccount) }},
	} {
		for _, patient := range []bool{true, false} {
			name := window.name + ", started again afterwards"
			if !patient {
				name = window.name + ", started again meanwhile"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				r, s, schwab, saxo := startBoth(t)
				idle, busy := r.providerProcess("schwab"), r.providerProcess("saxo")
				first, _ := saxo.Current(saxoAccount)
				gate := window.hold(saxo)
				r.forceRefresh(saxoAccount)
				came(t, gate.Entered, "the request is open")
				r.Kill()
				idle.mustEndSoon()

				var again *running
				if !patient {
					again = startRun(t, s)
					// Its own provider waits for the one that is still busy.
					again.providerProcess("saxo")
				}
				if busy.ended() || happened(gate.Gone) {
					t.Error("the provider did not hear its request out")
				}
				gate.Release()
				came(t, gate.Done, "the request is answered")
				busy.mustEndSoon()
				if patient {
					s.awaitSpooled(t, "saxo", saxoAccount)
					again = startRun(t, s)
				}
				again.delivered(saxoAccount, 2)
				s.mustHold(t, saxo, saxoAccount)
				if c := saxo.Account(saxoAccount); c.Posts != 1 || c.Answered != 1 || saxo.Uses(first.RefreshToken) != 1 {
					t.Errorf("the broker saw %+v, and the first refresh token %d times", c, saxo.Uses(first.RefreshToken))
				}
				if st := again.until(func(control.Status) bool { return true }); account(st, saxoAccount).Failures != 0 || account(st, saxoAccount).Version != 2 {
					t.Errorf("the account: %+v", account(st, saxoAccount))
				}
				again.Stop()
				goesOn(t, s, schwab, saxo)
			})
		}
	}
}

func TestStopIdle(t *testing.T) {
	t.Parallel()
	r, s, schwab, saxo := startBoth(t)
	if took := r.Stop(); took > 3 {
		t.Errorf("it took %d beats to end", took)
	}
	s.mustBeGone(t)
	goesOn(t, s, schwab, saxo)
}

// A refresh that was sent is waited for, and what it brought is stored and
// delivered before the service ends.
func TestStopWaitsForOpenRequest(t *testing.T) {
	t.Parallel()
	r, s, schwab, saxo := startBoth(t)
	idle, busy, service := r.providerProcess("schwab"), r.providerProcess("saxo"), watchProcess(t, r.PID)
	gate := saxo.HoldNextAnswer(saxoAccount)
	r.forceRefresh(saxoAccount)
	came(t, gate.Entered, "the request is open")
	service.signal(unix.SIGTERM)
	waittest.Within(t, 4, "the end of the idle provider", idle.ended) // one that does not end is killed after 5 s
	if busy.ended() || service.ended() || happened(gate.Gone) {
		t.Error("the service ended without the answer that was on its way")
	}
	gate.Release()
	service.mustEnd()
	if err := r.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	s.mustBeGone(t)
	s.mustHold(t, saxo, saxoAccount)
	if c := saxo.Account(saxoAccount); c.Posts != 1 || c.Answered != 1 {
		t.Errorf("the broker saw %+v", c)
	}

	// The ledger knows of the delivery, too: the file is not written again.
	path := s.path(saxoAccount + ".json")
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	again := startRun(t, s)
	again.refreshed(schwabAccount)
	again.delivered(schwabAccount, 2)
	st := again.until(func(st control.Status) bool { return account(st, saxoAccount).Sinks[0].Version == 2 })
	if a := account(st, saxoAccount); a.Version != 2 || a.Failures != 0 {
		t.Errorf("the account after it was started again: %+v", a)
	}
	if after, err := os.Stat(path); err != nil || !os.SameFile(before, after) {
		t.Errorf("what the sink had was delivered once more (%v)", err)
	}
	again.Stop()
	goesOn(t, s, schwab, saxo)
}
