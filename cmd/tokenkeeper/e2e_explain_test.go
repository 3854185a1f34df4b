package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// What has happened is told and explained while a supervisor runs, after a kill -9, beside
// the next one, and after that was stopped.
func TestExplainOverAKill(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	saxo := startBroker(t, brokersim.Config{Dialect: brokersim.Saxo, AccessLifetime: time.Hour, RefreshLifetime: 2 * time.Hour})
	s := newSite(t, "accounts:\n"+accountYAML(saxoAccount, saxo, saxo.TokenURL(), "before_expiry: 1m")+filesYAML)
	s.logIn(t, saxo, saxoAccount, format.SaxoCache)
	explains := func(when string, words ...string) {
		t.Helper()
		got := s.tool(t, "", "explain", saxoAccount)
		for _, word := range words {
			if !strings.Contains(got.stdout, word) {
				t.Errorf("%s %q is not said", when, word)
			}
		}
		if got.code != exitOK || t.Failed() {
			t.Logf("%s: %+v", when, got)
		}
	}
	r := startRun(t, s)
	r.delivered(saxoAccount, 1)
	r.refreshed(saxoAccount)
	r.delivered(saxoAccount, 2)
	explains("while it runs", "had a valid token: version 2, refreshed at", "Version 2 was delivered to files at", "Nothing has to be done")
	r.Kill()
	s.awaitGone(t)
	explains("after a kill", "version 2", "No supervisor answers", "killed", "Start it: tokenkeeper run")

	r = startRun(t, s)
	r.delivered(saxoAccount, 2)
	explains("beside the next one", "version 2", "Nothing has to be done")
	r.Stop()
	explains("after a stop", "version 2", "No supervisor has been running since", "it was stopped")
	got := s.tool(t, "", "events", "--since", "1h", "--no-follow", "--json")
	for _, want := range []struct {
		is    event.Type
		times int
	}{{"run_began", 2}, {"run_ended", 1}, {event.Refreshed, 1}} {
		if n := strings.Count(got.stdout, `"type":"`+string(want.is)+`"`); n != want.times {
			t.Errorf("%s was told %d times, not %d:\n%s", want.is, n, want.times, got.stdout)
		}
	}

	if got := s.tool(t, "", "pause", saxoAccount, "--reason", "the broker moves"); got.code != exitOK || got.stderr != "" {
		t.Errorf("pause: %+v", got)
	}
	explains("after a pause", "(the broker moves)", "it is paused then, too: tokenkeeper resume "+saxoAccount)
	own := func() []string {
		all, _ := filepath.Glob(s.path("tokenkeeper-observe-*"))
		return all
	}
	r = startRun(t, s, "--observe")
	explains("beside one who only observes", "No supervisor has been running since", "that only observes, and it keeps neither tokens nor a history", "start it without --observe")
	killed := own()
	r.Kill()
	s.awaitGone(t)
	r = startRun(t, s)
	r.until(func(control.Status) bool { return len(own()) == 0 })
	if len(killed) != 1 {
		t.Errorf("one who observed had the folders %q", killed)
	}
	explains("beside the one after a pause", "paused since")
	if got := s.tool(t, "", "explain", "saxo-sin"); got.code != exitFailure || !strings.Contains(got.stderr, `did you mean "saxo-sim"?`) {
		t.Errorf("a name that there is not: %+v", got)
	}
	r.Stop()
}
