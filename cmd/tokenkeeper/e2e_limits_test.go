package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
)

// A plugin says that its broker allows three requests an hour. The account makes two by
// itself and leaves one to a person, and no death of the supervisor makes them more.
func TestLimitsHoldOverAKill(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	sim := startBroker(t, brokersim.Config{Dialect: brokersim.Schwab, AccessLifetime: 4 * time.Second, RequestsPerHour: 3})
	s := newSite(t, "plugins: {dir: plugins}\naccounts:\n"+strings.ReplaceAll(accountYAML("main", sim, sim.TokenURL(), "every: 1s, jitter: 0s"), "provider: schwab", "provider: limited"))
	if err := goBuild(filepath.Join("testdata", "provider-limited"), s.path("plugins/tokenkeeper-provider-limited")); err != nil {
		t.Fatal(err)
	}
	s.logIn(t, sim, "main", format.Schwab)
	waits := func(st control.Status) bool { return account(st, "main").Waiting == promise.Limit }
	said := func() string { return strings.Join(strings.Fields(s.tool(t, "", "status").stdout), " ") }
	posted := func(n int) {
		t.Helper()
		if c := sim.Account("main"); c.Posts != n || c.Refreshes != n {
			t.Errorf("%d requests, of which %d were granted; want %d", c.Posts, c.Refreshes, n)
		}
	}
	r := startRun(t, s)
	r.until(waits)
	posted(2)
	r.Kill()
	r = startRun(t, s)
	r.until(waits)
	if got := said(); !strings.Contains(got, "2 of the 3 requests that it allows an hour were made since ") || !strings.Contains(got, "tokenkeeper refresh main --force") {
		t.Errorf("status: %s", got)
	}
	if got := s.tool(t, "", "refresh", "main"); got.code == exitOK || !strings.Contains(got.stderr, "the broker's limit is reached") {
		t.Errorf("asked without insisting: %+v", got)
	}
	posted(2)
	if got := s.tool(t, "", "refresh", "main", "--force"); got.code != exitOK {
		t.Errorf("the one that is left: %+v", got)
	}
	posted(3)
	r.Kill()
	r = startRun(t, s)
	r.until(waits)
	got := s.tool(t, "", "refresh", "main", "--force")
	if words := strings.Join(strings.Fields(got.stderr), " "); got.code == exitOK || !strings.Contains(words, "3 requests were made since ") || !strings.Contains(words, "and it allows 3 an hour") {
		t.Errorf("one more: %+v", got)
	}
	posted(3)
	if got := s.tool(t, "", "check"); !strings.Contains(strings.Join(strings.Fields(got.stdout), " "), fmt.Sprintf("and the broker allows %d, the last of which is left for a person", 3)) {
		t.Errorf("check: %+v", got)
	}
}
