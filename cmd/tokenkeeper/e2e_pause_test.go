package main

import (
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// A person pauses an account while a request is open: that is heard out, and nothing more is
// asked of its broker, over a reload, a kill -9 and the end of its token, until he resumes
// it. The other account is refreshed all the while.
func TestPauseAsksNothingOfTheBroker(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	schwab, saxo := startBrokers(t, 8*time.Second) // that of the held answer has to live until it is delivered
	yaml := bothYAML(schwab, saxo, "every: 1s, jitter: 100ms")
	s := newSite(t, yaml)
	s.logIn(t, schwab, schwabAccount, format.Schwab)
	s.logIn(t, saxo, saxoAccount, format.SaxoCache)
	gate := saxo.HoldNextAnswer(saxoAccount)
	r := startRun(t, s)
	came(t, gate.Entered, "the request is open")

	tool := func(code int, args []string, want ...string) {
		t.Helper()
		got := s.tool(t, "", args...)
		text := inOneLine(got.stdout + got.stderr)
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("%v: %q is not in\n%s", args, w, text)
			}
		}
		if got.code != code {
			t.Errorf("%v: exit code %d, want %d\n%s", args, got.code, code, text)
		}
	}
	tool(exitOK, []string{"pause", saxoAccount, "--reason", "a trial beside the old service"},
		"saxo-sim: paused: nothing is asked of its broker before tokenkeeper resume saxo-sim; what was sent before is heard out")
	if happened(gate.Gone) {
		t.Error("the request that was open was cut off")
	}
	gate.Release()
	r.delivered(saxoAccount, 2)
	s.mustHold(t, saxo, saxoAccount)
	posts := saxo.Account(saxoAccount).Posts
	if posts != 1 {
		t.Errorf("%d requests so far, want the one", posts)
	}
	paused := func(when string) {
		t.Helper()
		a := account(r.until(func(st control.Status) bool { return account(st, saxoAccount).Version == 2 }), saxoAccount)
		if a.State != control.AccountPaused || a.Pause == nil || a.Pause.Reason != "a trial beside the old service" || !a.Due.IsZero() {
			t.Errorf("%s it is %s, due %s: %+v", when, a.State, a.Due, a.Pause)
		}
	}
	paused("at once")
	tool(exitFailure, []string{"pause", "saxo-sin"}, `did you mean "saxo-sim"?`)
	tool(exitUsage, []string{"pause"}, "which account?")
	tool(exitOK, []string{"pause", saxoAccount}, "saxo-sim: was paused already, since", "(a trial beside the old service)")
	tool(exitOK, []string{"status", saxoAccount}, "paused", "nothing is asked of its broker before tokenkeeper resume saxo-sim", "a trial beside")
	tool(exitFailure, []string{"refresh", saxoAccount}, "account saxo-sim is paused since", "tokenkeeper resume saxo-sim", "tokenkeeper refresh saxo-sim --force")
	tool(exitPerson, []string{"token", saxoAccount, "--if-version", "2"}, "account saxo-sim is paused since")

	s.configure(t, strings.ReplaceAll(yaml, "jitter: 100ms", "jitter: 50ms"))
	tool(exitOK, []string{"reload"}, "goes on with")
	paused("after a reload")
	r.Kill()
	r = startRun(t, s)
	paused("after a kill -9")

	// Its token ends, which is told of it; the other account's is renewed.
	other := account(r.until(func(st control.Status) bool { return account(st, schwabAccount).Version > 2 }), schwabAccount).Version
	r.until(func(st control.Status) bool {
		return !account(st, saxoAccount).Expiry.After(st.Now) && account(st, schwabAccount).Version > other+2
	})
	tool(2, []string{"status", "--check"}, "CRITICAL", "saxo-sim is paused, and its token has expired", "paused=1")
	r.Kill()
	r = startRun(t, s)
	h := r.until(func(st control.Status) bool {
		for _, a := range st.Alerts {
			if a.Type == event.PauseForgotten {
				return strings.Contains(a.Message, "account saxo-sim is paused since") && strings.Contains(a.Message, "tokenkeeper resume saxo-sim")
			}
		}
		return false
	})
	if a := account(h, saxoAccount); a.State != control.AccountPaused {
		t.Errorf("once its token is over it is %s", a.State)
	}
	if now := saxo.Account(saxoAccount).Posts; now != posts {
		t.Errorf("%d requests while it was paused", now-posts)
	}

	tool(exitOK, []string{"resume", saxoAccount}, "saxo-sim: resumed; the next refresh is due now")
	r.delivered(saxoAccount, 3)
	r.until(func(st control.Status) bool {
		for _, a := range st.Alerts {
			if a.Type == event.PauseForgotten && !a.Over() {
				return false
			}
		}
		return account(st, saxoAccount).State == control.AccountValid
	})
	tool(exitOK, []string{"resume", saxoAccount, schwabAccount}, "saxo-sim: was not paused", "schwab-main: was not paused")
	if reused := saxo.Reused(); len(reused) > 0 {
		t.Errorf("refresh tokens were sent twice: %v", reused)
	}
	r.Stop()
}

// All accounts are paused for a while: that is over by itself.
func TestPauseAllForAWhile(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	r, s, schwab, saxo := startBoth(t)
	h := r.follow()
	got := decode[control.PauseAnswers](t, s.tool(t, "", "pause", "--all", "--for", "3s", "--json").stdout)
	if len(got.Accounts) != 2 || got.Accounts[0].Account != saxoAccount || got.Accounts[1].Account != schwabAccount || got.Accounts[0].Pause.Until.IsZero() {
		t.Errorf("%+v", got)
	}
	mark := h.mark()
	h.await(0, about(event.Resumed, saxoAccount))
	h.await(0, about(event.Resumed, schwabAccount))
	r.until(func(st control.Status) bool {
		return account(st, schwabAccount).State == control.AccountValid && account(st, saxoAccount).State == control.AccountValid
	})
	if refreshed := h.since(mark, about(event.Refreshed, saxoAccount)); len(refreshed) > 0 {
		t.Errorf("an account that is not due was refreshed: %+v", refreshed)
	}
	all := decode[control.ResumeAnswers](t, s.tool(t, "", "resume", "--all", "--json").stdout)
	if len(all.Accounts) != 2 || all.Accounts[0].Resumed || all.Accounts[1].Resumed {
		t.Errorf("resumed again: %+v", all)
	}
	for name, sim := range map[string]*brokersim.Server{schwabAccount: schwab, saxoAccount: saxo} {
		mustHavePosted(t, sim, name, 0)
	}
	r.Stop()
}

// An account is paused before the supervisor starts, and so it asks nothing; and resumed
// while it does not run.
func TestPauseBeforeTheStart(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	saxo := startBroker(t, brokersim.Config{Dialect: brokersim.Saxo, AccessLifetime: time.Minute, RefreshLifetime: time.Hour})
	s := newSite(t, "accounts:\n"+accountYAML(saxoAccount, saxo, saxo.TokenURL(), "every: 1s")+filesYAML)
	s.logIn(t, saxo, saxoAccount, format.SaxoCache)
	if got := s.tool(t, "", "pause", "saxo-sin", saxoAccount); got.code != exitFailure || !strings.Contains(got.stderr, `did you mean "saxo-sim"?`) {
		t.Errorf("a name that is none: %+v", got)
	}
	if got := s.tool(t, "", "resume", "--all"); got.code != exitOK || inOneLine(got.stdout) != "saxo-sim: was not paused" {
		t.Errorf("it was paused beside one that is none: %+v", got)
	}
	for _, want := range []string{"saxo-sim: paused: nothing is asked of its broker", "saxo-sim: was paused already, since"} {
		if got := s.tool(t, "", "pause", "--all", "--reason", "the old service runs"); got.code != exitOK || !strings.Contains(inOneLine(got.stdout), want) {
			t.Errorf("%+v, want %q", got, want)
		}
	}
	r := startRun(t, s)
	r.delivered(saxoAccount, 1)
	a := account(r.until(func(st control.Status) bool { return provider(st, "saxo").State == control.ProviderRunning }), saxoAccount)
	if a.State != control.AccountPaused || a.Pause == nil || a.Pause.Reason != "the old service runs" {
		t.Errorf("it is %s: %+v", a.State, a.Pause)
	}
	waittest.Until(t, "the moment at which it would be due", func() bool {
		st, err := r.Client.Status(t.Context())
		return err == nil && st.Now.Sub(st.StartedAt) > 3*time.Second
	})
	mustHavePosted(t, saxo, saxoAccount, 0)
	r.Stop()
	if got := s.tool(t, "", "resume", saxoAccount); got.code != exitOK || !strings.Contains(got.stdout, "saxo-sim: resumed") {
		t.Errorf("%+v", got)
	}
	r = startRun(t, s)
	r.delivered(saxoAccount, 2)
	r.Stop()
}
