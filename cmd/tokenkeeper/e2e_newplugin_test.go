package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// A plugin's program that is replaced while its process runs is named with what to do, and
// the process goes on. Its own restart takes the new one, and nobody else notices.
func TestReplacedPluginIsTaken(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	schwab, saxo := startBrokers(t, time.Hour)
	s := newSite(t, "")
	plugin, vault := s.path("saxo-plugin"), s.path("vault-plugin")
	s.configure(t, bothYAML(schwab, saxo, "before_expiry: 5m")+fmt.Sprintf("  vault: {type: checked, settings: {address: x}, command: [%q]}\n", vault)+
		fmt.Sprintf("providers:\n  saxo: {command: [%q]}\n", plugin))
	install := func(path, build, command string) { // as mv does
		t.Helper()
		write(t, path+".new", fmt.Sprintf("#!/bin/sh\necho %s >%s.ran\nexec %s\n", build, path, command))
		if err := errors.Join(os.Chmod(path+".new", 0o700), os.Rename(path+".new", path)); err != nil {
			t.Fatal(err)
		}
	}
	installAll := func(build string) {
		t.Helper()
		install(plugin, build, s.program+" provider saxo")
		install(vault, build, exe+" "+sinkForTests)
	}
	ran := func(path string) string { return strings.TrimSpace(string(readFile(t, path+".ran"))) }
	installAll("first")
	s.logIn(t, schwab, schwabAccount, format.Schwab)
	s.logIn(t, saxo, saxoAccount, format.SaxoCache)
	s.env = append(s.env, "WATCHDOG_USEC=1000000") // it looks twice a second
	r := startRun(t, s)
	r.delivered(schwabAccount, 1)
	r.delivered(saxoAccount, 1)
	before := r.until(func(st control.Status) bool {
		return provider(st, "schwab").State == control.ProviderRunning && provider(st, "saxo").State == control.ProviderRunning
	})

	const replaced = " was replaced or changed since the process was started from it"
	named := func(want bool) {
		t.Helper()
		for verb, parts := range map[string][2]string{
			"status": {plugin + replaced, "to use what is there now, run: tokenkeeper restart saxo"},
			"sinks":  {vault + replaced, "to use what is there now, run: tokenkeeper sinks restart vault"},
		} {
			text := inOneLine(s.tool(t, "", verb).stdout)
			for _, part := range parts {
				if strings.Contains(text, part) != want {
					t.Errorf("%s says %q: %t, want %t:\n%s", verb, part, !want, want, text)
				}
			}
			if got := s.tool(t, "", verb, "--json").stdout; strings.Contains(got, `"old_program": "`) != want {
				t.Errorf("%s --json has an old program: %t", verb, !want)
			}
		}
	}
	named(false)
	installAll("second")
	named(true)
	r.until(func(control.Status) bool {
		return strings.Contains(r.Stderr(), plugin+replaced) && strings.Contains(r.Stderr(), vault+replaced)
	})
	r.refreshed(saxoAccount)
	r.delivered(saxoAccount, 2)
	if got := [2]string{ran(plugin), ran(vault)}; got != [2]string{"first", "first"} {
		t.Errorf("%q run although nobody has restarted them", got)
	}

	out := s.tool(t, "", "restart", "--json", "saxo")
	if out.code != exitOK {
		t.Fatalf("restart: %+v", out)
	}
	if got := decode[control.RestartAnswer](t, out.stdout); got.OldPID != provider(before, "saxo").PID || got.PID == got.OldPID || got.Generation != 2 {
		t.Errorf("restart says %+v", got)
	}
	if out := s.tool(t, "", "sinks", "restart", "vault"); out.code != exitOK {
		t.Fatalf("sinks restart: %+v", out)
	}
	if got := [2]string{ran(plugin), ran(vault)}; got != [2]string{"second", "second"} {
		t.Errorf("%q run after their restart", got)
	}
	named(false)
	r.refreshed(saxoAccount)
	r.delivered(saxoAccount, 3)
	s.mustHold(t, saxo, saxoAccount)
	if n := strings.Count(r.Stderr(), replaced); n != 2 {
		t.Errorf("the log has %d lines about two programs", n)
	}
	after := r.until(func(st control.Status) bool { return !account(st, saxoAccount).InFlight })
	if was, is := provider(before, "schwab"), provider(after, "schwab"); is.PID != was.PID || is.Generation != 1 {
		t.Errorf("another provider before %+v, after %+v", was, is)
	}
	mustHavePosted(t, saxo, saxoAccount, 2)
	mustHavePosted(t, schwab, schwabAccount, 0)
	r.Stop()
	s.mustBeGone(t)
}
