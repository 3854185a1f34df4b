package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/sdk/files/filestest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// onMachine has every process of the site run where /etc/machine-id is id.
func (s *site) onMachine(t *testing.T, id string) {
	t.Helper()
	if _, err := os.Stat("/etc/machine-id"); err != nil {
		t.Skipf("there is no machine id that another can be laid over: %v", err)
	}
	if out, err := exec.Command("unshare", "-m", "true").CombinedOutput(); err != nil {
		t.Skipf("a mount namespace can't be made, which needs root: %v, %s", err, out)
	}
	script := fmt.Sprintf("#!/bin/sh\nexec unshare -m sh -c 'mount --bind %s /etc/machine-id && exec \"$0\" \"$@\"' %s \"$@\"\n",
		s.path("machine-id"), buildProgram(t))
	if err := os.WriteFile(s.path("machine-id"), []byte(id+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := filestest.WriteProgram(s.path("there"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	s.program = s.path("there")
}

// TestCloneSpendsNothing copies a state directory to another machine, and there
// to a third: no refresh token is used before a person adopts it, with the
// supervisor running or not, and then it goes on.
func TestCloneSpendsNothing(t *testing.T) {
	l := login{"saxo-live", "saxo", format.SaxoCache, broker(t, brokersim.Saxo)}
	yaml := "machine_guard: on\n" + thirdPartyYAML([]login{l}, "")
	posts := func() int { return l.broker.Account(l.account).Posts }
	runs := func(st control.Status) bool { return provider(st, l.provider).State == control.ProviderRunning }

	first := newSite(t, yaml)
	first.onMachine(t, strings.Repeat("1", 32))
	first.logInEarlier(t, l.broker, l.account, l.layout, time.Hour)
	r := startRun(t, first)
	r.until(func(st control.Status) bool { return deliveredAll(st, []login{l}, 2) })
	if got := first.tool(t, "", "adopt"); got.code != exitOK || !strings.Contains(got.stdout, "already") {
		t.Errorf("adopt on its own machine: %+v", got)
	}
	stop(t, first, r)

	clone := func(from *site, id string) *site {
		t.Helper()
		s := newSite(t, yaml)
		s.onMachine(t, id)
		if err := os.CopyFS(s.path("state"), os.DirFS(from.path("state"))); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("chmod", "-R", "go=", s.path("state")).CombinedOutput(); err != nil {
			t.Fatalf("%v, %s", err, out)
		}
		return s
	}

	second := clone(first, strings.Repeat("2", 32))
	if got := second.tool(t, "", "check"); got.code != exitOK || !strings.Contains(got.stdout, "tokenkeeper adopt") {
		t.Errorf("check of the clone: %+v", got)
	}
	before := posts()
	for range 2 { // the second start is as careful
		r = startRun(t, second)
		st := r.until(func(st control.Status) bool { return runs(st) && len(st.Alerts) > 0 && deliveredAll(st, []login{l}, 2) })
		if a := account(st, l.account); !st.Machine.Other || st.Machine.Owner == st.Machine.Here || !strings.Contains(a.Withheld, "tokenkeeper adopt") || !a.Due.IsZero() {
			t.Errorf("status of the clone: %+v, %+v", st.Machine, a)
		}
		if a := st.Alerts[0]; a.Type != event.OtherMachine || !strings.Contains(a.Message, st.Machine.Owner) ||
			!strings.Contains(a.Message, st.Machine.Here) || !strings.Contains(a.Message, "tokenkeeper adopt") {
			t.Errorf("alert of the clone: %+v", a)
		}
		if got := second.tool(t, "", "refresh", l.account, "--force"); got.code != exitFailure || !strings.Contains(got.stderr, "tokenkeeper adopt") {
			t.Errorf("refresh of the clone: %+v", got)
		}
		if got := second.tool(t, "", "status"); got.code != exitOK || !strings.Contains(got.stdout, st.Machine.Owner) {
			t.Errorf("status of the clone: %+v", got)
		}
		if got := second.tool(t, "", "token", l.account); got.code != exitOK {
			t.Errorf("the token that lives: %+v", got)
		}
		if now := posts(); now != before {
			t.Fatalf("the clone has sent %d requests", now-before)
		}
		if r.PID > 0 && !strings.Contains(r.Stderr(), "other_machine") {
			t.Error("the log does not say it")
		}
		stop(t, second, r)
	}

	r = startRun(t, second)
	r.until(runs)
	got := second.tool(t, "", "adopt", "--json")
	if answer := decode[control.AdoptAnswer](t, got.stdout); got.code != exitOK || !answer.Adopted || answer.From == answer.To {
		t.Errorf("adopt: %+v", got)
	}
	if got := second.tool(t, "", "refresh", l.account, "--force"); got.code != exitOK {
		t.Errorf("refresh after adopt: %+v", got)
	}
	r.until(func(st control.Status) bool {
		return deliveredAll(st, []login{l}, 3) && len(st.Alerts) == 0 && !st.Machine.Other && account(st, l.account).Withheld == ""
	})
	stop(t, second, r)

	third := clone(second, strings.Repeat("3", 32))
	if got := third.tool(t, "", "adopt"); got.code != exitOK || !strings.Contains(got.stdout, "must be stopped") {
		t.Errorf("adopt without a supervisor: %+v", got)
	}
	r = startRun(t, third)
	r.until(runs)
	if got := third.tool(t, "", "refresh", l.account, "--force"); got.code != exitOK {
		t.Errorf("refresh after adopt: %+v", got)
	}
	stop(t, third, r)
	if reused := l.broker.Reused(); len(reused) > 0 {
		t.Errorf("refresh tokens that were sent twice: %v", reused)
	}
}
