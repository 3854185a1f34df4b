package main

import (
	"encoding/json"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// TestReadmeAsksWithCurl types what supervisor/control/README.md shows, line by line:
// every call is answered, and none with an error.
func TestReadmeAsksWithCurl(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	mustHave(t, "curl")
	sim := startBroker(t, brokersim.Config{Dialect: brokersim.Schwab})
	settings := `token_url: "` + sim.TokenURL() + `", authorize_url: "` + sim.AuthorizeURL() + `"`
	yaml := strings.Replace(accountYAML(schwabAccount, sim, sim.TokenURL(), "before_expiry: 5m"), `token_url: "`+sim.TokenURL()+`"`, settings, 1)
	s := newSite(t, "accounts:\n"+yaml+"sinks:\n  bot: {type: file, path: bot.json}\n")
	s.logIn(t, sim, schwabAccount, format.Schwab)
	r := startRun(t, s)
	r.delivered(schwabAccount, 1)
	r.until(func(st control.Status) bool { return provider(st, "schwab").State == control.ProviderRunning })

	blocks := fenced(t, filepath.Join(repository, "supervisor", "control", "README.md"), "sh")
	if len(blocks) != 1 {
		t.Fatalf("there are %d blocks", len(blocks))
	}
	define, calls, _ := strings.Cut(blocks[0], "\n")
	define = strings.NewReplacer("/var/lib/tokenkeeper/control.sock", s.path("state/control.sock"), "--silent", "--silent --fail").Replace(define)
	asked := 0
	for line := range strings.Lines(calls) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		if asked++; strings.Contains(line, "@schwab_tokens.json") {
			g := sim.Grant(schwabAccount)
			write(t, s.path("schwab_tokens.json"), string(tokenFileOf(t, g, format.Schwab, g.IssuedAt)))
		}
		endless := strings.Contains(line, "/v1/events")
		if endless {
			line = strings.Replace(line, "api ", "api --max-time 1 ", 1)
		}
		cmd := exec.CommandContext(t.Context(), "sh", "-c", define+"\n"+line)
		cmd.Dir = s.dir
		out, err := cmd.Output()
		if exit := (*exec.ExitError)(nil); endless && errors.As(err, &exit) && exit.ExitCode() == 28 { // of curl: its time was over
			continue
		} else if err != nil {
			t.Errorf("%s: %v\n%s", strings.TrimSpace(line), err, out)
			continue
		}
		if strings.HasSuffix(strings.TrimSpace(line), "/login") {
			var begun struct{ Address string }
			if err := json.Unmarshal(out, &begun); err != nil {
				t.Fatalf("%v in %s", err, out)
			}
			write(t, s.path("redirected.txt"), redirectOf(t, begun.Address+"&login_hint="+schwabAccount))
		}
	}
	if asked < 10 {
		t.Fatalf("only %d calls were tried", asked)
	}
	now, _ := sim.Current(schwabAccount)
	if got := s.tool(t, "", "token", schwabAccount); strings.TrimSpace(got.stdout) != now.AccessToken {
		t.Errorf("the token is not that of the login: %+v", got)
	}
	r.Stop()
	s.awaitGone(t)
}
