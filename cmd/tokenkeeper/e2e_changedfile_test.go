package main

import (
	"os"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
)

// The configuration is changed while a supervisor runs by it: every verb that is asked
// for what only the file has says so, and all say what differs, without a secret.
func TestTheConfigurationIsChangedWhileItRuns(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	const running = `accounts:
  main: {provider: schwab, client_id: id, client_secret: "${file:secret}", redirect_url: "https://127.0.0.1:8182"}
sinks:
  out: {type: file, path: "out/{account}.json"}
`
	s := newSite(t, running)
	if err := os.Mkdir(s.path("out"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, s.path("secret"), "canary-1")
	startRun(t, s)
	says := func(code int, args string, want ...string) {
		t.Helper()
		got := s.tool(t, "", strings.Fields(args)...)
		text := inOneLine(got.stdout + got.stderr)
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("%s: %q is not in\n%s", args, w, text)
			}
		}
		if got.code != code || strings.Contains(text, "canary") || strings.Count(text, "To use") > 1 {
			t.Errorf("%s: exit code %d\n%s", args, got.code, text)
		}
	}
	says(exitOK, "diff", "says what the supervisor")

	waittest.Until(t, "a moment after the start", func() bool { write(t, s.path("secret"), "canary-2"); return fileChanged(t, s) })
	says(exitDiffers, "diff", "changed account main client_secret")
	says(exitOK, "status", "account main changed (client_secret)")
	says(exitOK, "check", "account main changed (client_secret)")
	write(t, s.path("secret"), "canary-1")
	says(exitOK, "diff", "says what the supervisor")

	s.configure(t, running+"  phone: {type: file, path: \"phone/{account}.json\", accounts: [main]}\n")
	if text, err := os.ReadFile(s.config); err != nil {
		t.Fatal(err)
	} else {
		write(t, s.config, strings.Replace(string(text), "  main:", "  live: {provider: saxo, client_id: id}\n  main:", 1))
	}
	for _, args := range []string{
		"login live --no-wait", "login live --cancel", "token live", "refresh live", "status live", "sinks redeliver out live",
	} {
		says(exitFailure, args, `has account "live", and the running supervisor`, "does not know it yet. To use it: tokenkeeper reload")
	}
	for _, args := range []string{"sinks test phone", "sinks disable phone", "sinks enable phone", "sinks restart phone", "sinks redeliver phone"} {
		says(exitFailure, args, `has sink "phone", and the running supervisor`)
	}
	says(exitFailure, "restart saxo", `has provider "saxo", and the running supervisor`)
	says(exitFailure, "token nobody", `no account is named "nobody"`, "has changed since the supervisor")
	says(exitDiffers, "diff", "new account live", "new provider saxo", "new sink phone")

	s.configure(t, "acounts: {}\n")
	says(exitUsage, "diff", "a start with it would fail", "acounts: unknown key")
	says(exitOK, "status", "A start with the new one", "would fail", "acounts: unknown key")

	s.configure(t, strings.ReplaceAll(running, "main:", "other:"))
	says(exitDiffers, "diff", "gone account main", "it has no token", "new account other")
}

// fileChanged says whether the supervisor of the installation sees a change.
func fileChanged(t *testing.T, s *site) bool {
	t.Helper()
	c := control.NewClient(s.path("state/control.sock"))
	defer c.Close()
	st, err := c.Status(t.Context())
	return err == nil && st.ConfigChanged
}
