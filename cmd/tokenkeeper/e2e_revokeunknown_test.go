package main

import (
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/explain"
)

const revocationUnknown = ", and its outcome is unknown"

// unknown says that a revocation of main was sent after begun, and what to do next, in every
// place; so does explain of the moment of that.
func (r *revoker) unknown(begun, moment time.Time) {
	r.t.Helper()
	note := []string{"main valid v1", "a revocation of its login was sent ", revocationUnknown, "ask again (tokenkeeper revoke main)", "the broker's account page", "tokenkeeper refresh main --force"}
	r.says(exitOK, note, "status")
	r.says(exitOK, note, "status", "main")
	st := decode[control.Status](r.t, r.says(exitOK, nil, "status", "--json").stdout)
	if a := account(st, "main"); a.RevokeUnknown.Before(begun) || a.RevokeUnknown.After(time.Now()) || !account(st, "other").RevokeUnknown.IsZero() {
		r.t.Errorf("as JSON: %s", a.RevokeUnknown)
	}
	words := []string{"main had a valid token: version 1", "a revocation ", " sent", revocationUnknown, "Ask again: tokenkeeper revoke main, or look in the broker's account page"}
	r.says(exitOK, words, "explain", "main")
	r.says(exitOK, words, "explain", "main", "--at", moment.UTC().Format(time.RFC3339Nano))
}

// What nobody knows of a revocation is said by status and explain until something tells: where
// no answer came, where the supervisor dies before one comes, and of an account that is in no
// configuration.
func TestRevocationOfUnknownOutcomeIsSaid(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	s := newRevoker(t, brokersim.RevokesGrant, "main", "other")
	r := startRun(t, s.site)
	running := func() {
		t.Helper()
		r.until(func(st control.Status) bool { return provider(st, "revokes").State == control.ProviderRunning })
	}
	running()
	r.delivered("main", 1)
	before := time.Now()

	// The supervisor is killed while the broker is asked.
	gate := brokersim.NewGate()
	s.sim.Inject(brokersim.Fault{Hold: gate}.For("main").On("revoke"))
	cut := make(chan result, 1)
	go func() { cut <- s.tool(t, "", "revoke", "main", "--yes") }()
	<-gate.Entered
	moment := time.Now()
	r.Kill()
	gate.Drop()
	if got := <-cut; got.code != exitFailure || !strings.Contains(inOneLine(got.stderr), "the supervisor ended before it had answered") {
		t.Errorf("cut off: %+v", got)
	}
	s.awaitGone(t)
	r = startRun(t, s.site)
	running()
	s.unknown(before, moment)
	got := decode[explain.Explanation](t, s.says(exitOK, nil, "explain", "main", "--at", before.UTC().Format(time.RFC3339Nano), "--json").stdout)
	if text := strings.Join(got.Sentences, " "); strings.Contains(text, "revocation") {
		t.Errorf("before it was sent: %s", text)
	}

	// It is asked again, and no answer comes.
	begun := time.Now().Truncate(time.Second)
	s.sim.Inject(brokersim.LostAnswer().For("main").On("revoke"))
	s.says(exitFailure, []string{"nobody knows whether its login is revoked: a revocation was sent ", revocationUnknown, "tokenkeeper revoke main, or look in the broker's account page"}, "revoke", "main", "--yes")
	s.unknown(begun, time.Now())

	// The next refresh finds out.
	s.says(exitOK, []string{"main: refreshed: v2"}, "refresh", "main", "--force")
	for _, args := range [][]string{{"status"}, {"status", "main"}, {"explain", "main"}} {
		if got := s.says(exitOK, nil, args...); strings.Contains(got.stdout, "revocation") {
			t.Errorf("%v once it is known: %s", args, got.stdout)
		}
	}

	// Of an account that is in no configuration.
	s.configure(t, s.yaml("other"))
	s.says(exitOK, []string{"gone account main"}, "reload")
	running()
	s.sim.Inject(brokersim.LostAnswer().For("main").On("revoke"))
	s.says(exitFailure, []string{revocationUnknown, "nothing was forgotten"}, "accounts", "forget", "main", "--revoke", "--yes")
	left := []string{"account main is in the store and in no configuration", "a revocation of its login was sent ", revocationUnknown, "ask again: tokenkeeper accounts forget main --revoke, or look in the broker's account page"}
	s.says(exitOK, left, "status")
	s.says(exitFailure, left, "status", "main")
	st := decode[control.Status](t, s.says(exitOK, nil, "status", "--json").stdout)
	if len(st.Left) != 1 || st.Left[0].RevokeUnknown.IsZero() {
		t.Errorf("as JSON: %+v", st.Left)
	}
	s.says(exitOK, []string{revocationUnknown, "Ask again: tokenkeeper accounts forget main --revoke, or look in the broker's account page"}, "explain", "main")
	r.Stop()
	s.tellsNoToken(r.Stderr())
}
