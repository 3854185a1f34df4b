package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/sdk/files/filestest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// A plugin's program vanishes while it is asked who it is, and so its provider can't be
// made anew once the old one was ended: everybody else goes on as before, and so does its
// process, if it would have stayed. It is said what is missing, and when the program is back
// a reload brings its provider back too.
func TestReloadWhoseProgramVanishes(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	logins := []login{
		{"schwab-main", "schwab", format.Schwab, broker(t, brokersim.Schwab)},
		{"acme-main", "acme", format.JSON, broker(t, brokersim.Saxo)},
	}
	s := newSite(t, thirdPartyYAML(logins, ""))
	installAcme(t, s)
	program, real, doom := s.path(acmeBinary), s.path("acme"), s.path("doom")
	if err := os.Rename(program, real); err != nil {
		t.Fatal(err)
	}
	install := func() {
		t.Helper()
		script := fmt.Sprintf("#!/bin/sh\nif [ -e %[1]s ]; then rm -f %[2]s; fi\nexec %[3]s \"$@\"\n", doom, program, real)
		if err := filestest.WriteProgram(program, []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	install()
	r := startRun(t, s)
	for _, l := range logins {
		s.logInEarlier(t, l.broker, l.account, l.layout, time.Hour)
	}
	r.until(func(st control.Status) bool { return deliveredAll(st, logins, 2) })
	before := r.providerProcess("acme")

	refused := func(yaml string) {
		t.Helper()
		install()
		write(t, doom, "")
		s.configure(t, yaml)
		got := s.tool(t, "", "reload")
		if text := inOneLine(got.stderr); got.code != exitFailure || !strings.Contains(text, "goes on with the one that it has: provider acme: ") || !strings.Contains(text, "put the plugin there") {
			t.Fatalf("%+v", got)
		}
	}
	changed := strings.ReplaceAll(thirdPartyYAML(logins, ""), "settings: {", "refresh: {before_expiry: 6m}, settings: {")
	if changed == thirdPartyYAML(logins, "") {
		t.Fatal("nothing is changed")
	}
	refused(changed)
	if is := r.providerProcess("acme"); is.pid != before.pid {
		t.Errorf("process %d of acme was replaced by %d", before.pid, is.pid)
	}
	r.refreshed("acme-main")
	r.until(func(st control.Status) bool { return deliveredAll(st, logins[1:], 3) })

	changed += "providers: {acme: {max_in_flight: 3}}\n" // with which it is started
	refused(changed)
	before.mustHaveEnded()
	r.refreshed("schwab-main")
	r.until(func(st control.Status) bool { return deliveredAll(st, logins[:1], 3) })
	st := r.until(func(st control.Status) bool {
		p := provider(st, "acme")
		return p.State == control.ProviderParked || p.State == control.ProviderBackoff || p.State == control.ProviderCrashing
	})
	if account(st, "acme-main").Version != 3 || !strings.Contains(provider(st, "acme").LastError, acmeBinary) {
		t.Errorf("of acme: %+v, %+v", account(st, "acme-main"), provider(st, "acme"))
	}
	status := s.tool(t, "", "status")
	if text := inOneLine(status.stdout); !strings.Contains(text, "The last reload failed (") || !strings.Contains(text, "reload failed") {
		t.Errorf("the status says\n%s", status.stdout)
	}

	if err := os.Remove(doom); err != nil {
		t.Fatal(err)
	}
	install()
	if got := s.tool(t, "", "reload"); got.code != exitOK {
		t.Fatalf("%+v", got)
	}
	r.until(func(st control.Status) bool {
		return provider(st, "acme").State == control.ProviderRunning &&
			!slices.ContainsFunc(st.Alerts, func(a event.Alert) bool { return a.Type == event.ReloadFailed })
	})
	for _, l := range logins {
		r.refreshed(l.account)
	}
	r.until(func(st control.Status) bool {
		return deliveredAll(st, logins, 4)
	})
	stop(t, s, r)
	for _, l := range logins {
		delivered(t, s, l)
		if c := l.broker.Account(l.account); len(l.broker.Reused()) > 0 || c.Repeats > 0 {
			t.Errorf("the broker of %s saw %+v", l.account, c)
		}
	}
}
