package main

import (
	"os"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
)

// The configuration is watched: what is written there comes without anybody's asking, also
// if a secret comes later than what refers to it. An account that is taken out stays until
// somebody asks.
func TestTheConfigurationIsWatched(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	const watched = `reload: watch
accounts:
  main: {provider: schwab, client_id: id, client_secret: s, redirect_url: "https://127.0.0.1:8182"}
sinks:
  out: {type: file, path: "out/{account}.json"}
`
	s := newSite(t, watched)
	if err := os.Mkdir(s.path("out"), 0o700); err != nil {
		t.Fatal(err)
	}
	r := startRun(t, s)
	r.until(func(st control.Status) bool { return account(st, "main").Name != "" })
	says := func(want string) {
		t.Helper()
		waittest.Until(t, want+" is in the log", func() bool { return strings.Contains(r.Stderr(), want) }, r.steps)
	}

	more := strings.Replace(watched, "sinks:\n", "  live: {provider: saxo, client_id: id, client_secret: \"${file:secret}\"}\nsinks:\n", 1) +
		"  more: {type: file, path: \"more-{account}.json\"}\n"
	s.configure(t, more)
	says("secret can't be read")
	write(t, s.path("secret"), "s")
	r.until(func(st control.Status) bool {
		return account(st, "live").Name != "" && provider(st, "saxo").State == control.ProviderRunning
	})
	says("sink more is new")

	s.configure(t, strings.Replace(more, "  main:", "  # main:", 1))
	says("account main is gone, and a changed file alone takes no account away")
	if st := r.until(func(st control.Status) bool { return st.ConfigReloadError != "" }); account(st, "main").Name == "" {
		t.Error("it is gone")
	}
	if got := s.tool(t, "", "reload"); got.code != exitOK || !strings.Contains(inOneLine(got.stdout), "gone account main") {
		t.Errorf("%+v", got)
	}
	r.until(func(st control.Status) bool { return account(st, "main").Name == "" && st.ConfigReloadError == "" })
}
