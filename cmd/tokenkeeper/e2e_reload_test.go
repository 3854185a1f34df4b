package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// The configuration is read again while both brokers' tokens are kept: all of it comes into
// use or nothing, what does not differ is not touched, and what was sent is heard out.
func TestReload(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	r, s, schwab, saxo := startBoth(t)
	yaml := bothYAML(schwab, saxo, "before_expiry: 5m")
	schwabProcess, saxoProcess := r.providerProcess("schwab"), r.providerProcess("saxo")
	reload := func(code int, want ...string) {
		t.Helper()
		got := s.tool(t, "", "reload")
		text := inOneLine(got.stdout + got.stderr)
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("%q is not in\n%s", w, text)
			}
		}
		if got.code != code {
			t.Fatalf("exit code %d\n%s", got.code, text)
		}
	}
	sameAsBefore := func(when string) {
		t.Helper()
		if now := r.providerProcess("saxo"); now.pid != saxoProcess.pid {
			t.Errorf("%s: saxo's process %d was replaced by %d", when, saxoProcess.pid, now.pid)
		}
	}
	reload(exitOK, "nothing was changed")

	for name, broken := range map[string]string{
		"not valid":      "acounts: {}\n",
		"a key too many": yaml + "nonsense: 1\n",
		"a fixed key":    yaml + "fallback_dir: other\n",
		"no such plugin": strings.Replace(yaml, "provider: schwab", "provider: nowhere", 1),
		"no such sink":   yaml + "  other: {type: nothing}\n",
	} {
		s.configure(t, broken)
		reload(exitFailure, "was not read again, and the supervisor goes on with the one that it has")
		if now := r.providerProcess("schwab"); now.pid != schwabProcess.pid {
			t.Errorf("%s: schwab's process was replaced", name)
		}
		sameAsBefore(name)
	}

	// An account of schwab changes while its refresh is under way.
	gate := schwab.HoldNextAnswer(schwabAccount)
	refreshed := r.forceRefresh(schwabAccount)
	came(t, gate.Entered, "the request is open")
	s.configure(t, strings.Replace(yaml, "before_expiry: 5m", "before_expiry: 6m", 1))
	asked := strings.Count(r.Stderr(), "is asked for reload")
	changing := s.command(t.Context(), "", "reload")
	var said bytes.Buffer
	changing.Stdout, changing.Stderr = &said, &said
	if err := changing.Start(); err != nil {
		t.Fatal(err)
	}
	waittest.Until(t, "the wish for it", func() bool { return strings.Count(r.Stderr(), "is asked for reload") == asked+1 })
	if schwabProcess.ended() || happened(gate.Gone) {
		t.Error("it did not wait for the request that was open")
	}
	gate.Release()
	if err := <-refreshed; err != nil {
		t.Errorf("the refresh meanwhile: %v", err)
	}
	if err := changing.Wait(); err != nil || !strings.Contains(inOneLine(said.String()), "changed account "+schwabAccount+" refresh.before_expiry") {
		t.Fatalf("%v\n%s", err, said.String())
	}
	schwabGoesOn := func(when string) {
		t.Helper()
		is := provider(r.until(func(st control.Status) bool { return provider(st, "schwab").State == control.ProviderRunning }), "schwab")
		if is.PID != schwabProcess.pid || is.Generation != 1 || is.Restarts != 0 || is.Crashes != 0 {
			t.Errorf("%s: schwab's process %d was replaced: %+v", when, schwabProcess.pid, is.Status)
		}
	}
	schwabGoesOn("a change of its account")
	r.delivered(schwabAccount, 2)
	sameAsBefore("a change of schwab's account")
	if c := schwab.Account(schwabAccount); c.Posts != 1 || c.Answered != 1 || c.CutProcessed != 0 {
		t.Errorf("schwab's broker saw %+v", c)
	}
	r.refreshed(schwabAccount)
	r.delivered(schwabAccount, 3)
	s.mustHold(t, schwab, schwabAccount)

	// A sink and an account come, and go.
	before := written(t, s.path(saxoAccount+".json"))
	more := strings.Replace(yaml, "before_expiry: 5m", "before_expiry: 6m", 1) + "  more: {type: file, path: \"more-{account}.json\", accounts: [" + saxoAccount + "]}\n"
	s.configure(t, more)
	reload(exitOK, "new sink more")
	r.deliveredTo(saxoAccount, "more", 1)
	sameAsBefore("a new sink")
	schwabGoesOn("a new sink")
	if after := written(t, s.path(saxoAccount+".json")); !after.Equal(before) {
		t.Errorf("a sink that was not changed was delivered to at %s, and then at %s", before, after)
	}
	s.configure(t, strings.Replace(more, "accounts:\n", "accounts:\n"+accountYAML("schwab-two", schwab, schwab.TokenURL(), "before_expiry: 5m"), 1))
	reload(exitOK, "new account schwab-two")
	r.until(func(st control.Status) bool { return account(st, "schwab-two").State == refresh.New })
	s.logIn(t, schwab, "schwab-two", format.Schwab)
	r.delivered("schwab-two", 1)
	r.refreshed("schwab-two")
	schwabGoesOn("a new account")
	sameAsBefore("a new account")

	// What the process itself is started with changes.
	s.configure(t, yaml+"providers: {schwab: {max_in_flight: 3}}\n")
	reload(exitOK, "changed provider schwab")
	schwabProcess.mustHaveEnded()
	sameAsBefore("a change of the other provider")

	s.configure(t, yaml)
	if err := unix.Kill(r.PID, unix.SIGHUP); err != nil {
		t.Fatal(err)
	}
	r.until(func(st control.Status) bool { return account(st, "schwab-two").Name == "" })
	waittest.Until(t, "the log of what SIGHUP has brought", func() bool {
		return strings.Contains(r.Stderr(), "account schwab-two is gone") && strings.Contains(r.Stderr(), "sink more is gone")
	})
	r.refreshed(schwabAccount)
	r.refreshed(saxoAccount)
	r.delivered(schwabAccount, 4)
	r.delivered(saxoAccount, 2)
	if _, err := os.Stat(s.path("more-" + saxoAccount + ".json")); err != nil {
		t.Errorf("the file of a sink that is gone: %v", err)
	}
	if reused := append(schwab.Reused(), saxo.Reused()...); len(reused) > 0 {
		t.Errorf("used twice: %v", reused)
	}
	s.mustHold(t, schwab, schwabAccount)
	s.mustHold(t, saxo, saxoAccount)
	r.Stop()
	s.mustBeGone(t)
}

// Whatever is read again and again, while tokens are refreshed without a pause: none is used
// twice, lost, or missed by a consumer, and nobody who has asked for a refresh is turned away.
func TestReloadAgainAndAgain(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	r, s, schwab, saxo := startBoth(t)
	plain := bothYAML(schwab, saxo, "before_expiry: 5m")
	later := strings.ReplaceAll(plain, "before_expiry: 5m", "before_expiry: 6m")
	all := []string{
		later, plain + "  more: {type: file, path: \"more-{account}.json\"}\n", strings.Replace(plain, "before_expiry: 5m", "before_expiry: 7m", 1),
		plain + "alerts: {repeat: 9h}\n", plain + "trust: [root, nobody]\n", plain,
	}
	ctx, cancel := context.WithCancel(t.Context())
	var busy sync.WaitGroup
	for _, name := range []string{schwabAccount, saxoAccount} {
		busy.Go(func() {
			c := control.NewClient(s.path("state/control.sock"))
			defer c.Close()
			for ctx.Err() == nil {
				if _, err := c.Refresh(ctx, name, true); err != nil && ctx.Err() == nil {
					t.Errorf("refresh %s: %v", name, err)
					return
				}
			}
		})
	}
	for round := range 3 {
		for n, yaml := range all {
			s.configure(t, yaml)
			if got := s.tool(t, "", "reload"); got.code != exitOK {
				t.Errorf("round %d, configuration %d: %+v", round, n, got)
			}
		}
	}
	cancel()
	busy.Wait()
	for name, sim := range map[string]*brokersim.Server{schwabAccount: schwab, saxoAccount: saxo} {
		r.refreshed(name)
		v := account(r.until(func(st control.Status) bool { return !account(st, name).InFlight }), name).Version
		r.delivered(name, v)
		s.mustHold(t, sim, name)
		if c := sim.Account(name); len(sim.Reused()) > 0 || c.Repeats > 0 || c.Refreshes != c.Posts || uint64(c.Refreshes)+1 != v || c.CutReceived+c.CutProcessed > 0 {
			t.Errorf("%s: version %d; its broker saw %+v", name, v, c)
		}
	}
	r.Stop()
	s.mustBeGone(t)
}

// written is when a file was.
func written(t *testing.T, path string) time.Time {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.ModTime()
}
