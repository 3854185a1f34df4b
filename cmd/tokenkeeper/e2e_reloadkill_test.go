package main

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
)

// beginReload starts the command in the background. Its end is the caller's.
func (s *site) beginReload(t *testing.T) (cmd *exec.Cmd, said *bytes.Buffer) {
	t.Helper()
	cmd, said = s.command(t.Context(), "", "reload"), &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, said
}

// The supervisor is killed while it goes over to another configuration: the next start goes
// on with what the file says, and what was sent before is heard, once.
func TestKilledInAReload(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	r, s, schwab, saxo := startBoth(t)
	yaml := func(inFlight string) string { // with which a process is started
		return bothYAML(schwab, saxo, "before_expiry: 5m") + "providers: {schwab: {max_in_flight: " + inFlight + "}, saxo: {max_in_flight: " + inFlight + "}}\n"
	}
	version := uint64(1) // of schwab's account
	for _, moment := range []struct {
		name, inFlight string
		// hold keeps the request of schwab's account open that is waited for; nil: there is
		// none, and the kill comes when its new provider serves.
		hold func(account string) *brokersim.Gate
	}{
		{"a request is open that was not processed", "6", schwab.HoldNext},
		{"a request is open that was processed", "7", schwab.HoldNextAnswer},
		{"the new providers were just made", "8", nil},
	} {
		schwabProcess, saxoProcess := r.providerProcess("schwab"), r.providerProcess("saxo")
		var gate *brokersim.Gate
		if moment.hold != nil {
			gate = moment.hold(schwabAccount)
			r.forceRefresh(schwabAccount)
			came(t, gate.Entered, "the request is open")
			version++
		}
		s.configure(t, yaml(moment.inFlight))
		served := strings.Count(r.Stderr(), "provider schwab ")
		reload, said := s.beginReload(t)
		if saxoProcess.mustEnd(); gate != nil { // which waits for nothing, and was ended together with schwab's
			if schwabProcess.ended() || happened(gate.Gone) {
				t.Errorf("%s: it did not wait for that", moment.name)
			}
		} else {
			waittest.Until(t, "the new provider of schwab", func() bool {
				text := r.Stderr()
				return strings.Count(text, "provider schwab ") > served && strings.Contains(text[strings.LastIndex(text, "provider schwab "):], "serves")
			})
		}
		r.Kill()
		if err := reload.Wait(); gate != nil && err == nil {
			t.Errorf("%s: the command says that it was read again: %s", moment.name, said)
		}
		r = startRun(t, s)
		if gate != nil {
			gate.Release()
		}
		r.delivered(schwabAccount, version)
		r.until(func(st control.Status) bool { return !account(st, schwabAccount).InFlight })
		if got := s.tool(t, "", "diff"); got.code != exitOK {
			t.Errorf("%s: the next start goes on with another configuration: %+v", moment.name, got)
		}
		s.mustHold(t, schwab, schwabAccount)
		r.refreshed(schwabAccount)
		version++
		r.refreshed(saxoAccount)
		r.delivered(schwabAccount, version)
		r.delivered(saxoAccount, account(r.until(func(control.Status) bool { return true }), saxoAccount).Version)
		s.mustHold(t, schwab, schwabAccount)
		s.mustHold(t, saxo, saxoAccount)
		for name, sim := range map[string]*brokersim.Server{schwabAccount: schwab, saxoAccount: saxo} {
			if c := sim.Account(name); len(sim.Reused()) > 0 || c.Repeats > 0 || c.Refreshes != c.Posts || c.CutReceived+c.CutProcessed > 0 {
				t.Errorf("%s: the broker of %s saw %+v", moment.name, name, c)
			}
		}
		if a := account(r.until(func(control.Status) bool { return true }), schwabAccount); a.Version != version {
			t.Errorf("%s: version %d, want %d", moment.name, a.Version, version)
		}
	}
	r.Stop()
	s.mustBeGone(t)
}
