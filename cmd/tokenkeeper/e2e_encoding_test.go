package main

import (
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// Answers that were compressed though nobody asked for it, and one without an
// access token, cost neither a login nor a second use of a refresh token.
func TestUnaskedAnswersOverTheWholeWay(t *testing.T) {
	t.Parallel()
	schwab, saxo := startBrokers(t, time.Hour)
	s := newSite(t, bothYAML(schwab, saxo, "before_expiry: 5m"))
	s.logIn(t, schwab, schwabAccount, format.Schwab)
	s.logIn(t, saxo, saxoAccount, format.SaxoCache)
	r := startRun(t, s)
	for name, sim := range map[string]*brokersim.Server{schwabAccount: schwab, saxoAccount: saxo} {
		version, posts := uint64(1), 0
		for _, fault := range brokersim.HardToReadFaults() {
			half := fault.Coding == ""
			if half && name == schwabAccount {
				continue // its refresh token is the same as before, and nothing is lost with the answer
			}
			sim.Inject(fault.For(name))
			if _, err := r.Client.Refresh(t.Context(), name, true); err != nil {
				t.Fatalf("%s, %s: %v", name, fault, err)
			}
			version, posts = version+1, posts+1
			if half { // it is asked again for the other half
				version, posts = version+1, posts+1
			}
			st := r.until(func(st control.Status) bool {
				a := account(st, name)
				return a.Version >= version && a.State == control.AccountValid && !a.InFlight
			})
			if a := account(st, name); a.Version != version || a.Failures != 0 || !a.AmbiguousSince.IsZero() {
				t.Errorf("%s, %s: %+v", name, fault, a)
			}
			r.delivered(name, version)
			s.mustHold(t, sim, name)
		}
		mustHavePosted(t, sim, name, posts)
	}
}
