package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// At the start an account that is due is refreshed at once, one that is not is
// left alone, and every sink gets what it lacks.
func TestStart(t *testing.T) {
	t.Parallel()
	schwab, saxo := startBrokers(t, time.Hour)
	accounts := bothYAML(schwab, saxo, "before_expiry: 5m")
	s := newSite(t, accounts)
	s.logInEarlier(t, schwab, schwabAccount, format.Schwab, 2*time.Hour)
	s.logIn(t, saxo, saxoAccount, format.SaxoCache)

	r := startRun(t, s)
	r.delivered(schwabAccount, 2)
	r.delivered(saxoAccount, 1)
	st := r.until(func(st control.Status) bool {
		return provider(st, "saxo").State == control.ProviderRunning && !account(st, saxoAccount).InFlight
	})
	// What a file says is believed as far as such tokens are known to live.
	if a := account(st, saxoAccount); a.Version != 1 || time.Until(a.Due) < 12*time.Minute {
		t.Errorf("the account that was not due: %+v", a)
	}
	s.mustHold(t, schwab, schwabAccount)
	s.mustHold(t, saxo, saxoAccount)
	mustHavePosted(t, schwab, schwabAccount, 1)
	mustHavePosted(t, saxo, saxoAccount, 0)
	r.Stop()

	// A sink that is new, and one whose consumer was never there.
	unchanged := fileOf(t, s.path(schwabAccount+".json"))
	s.configure(t, accounts+`  new: {type: file, path: "new-{account}.json"}
  bot: {type: unixsocket, path: bot.sock, accounts: [`+schwabAccount+`]}
`)
	r = startRun(t, s)
	r.until(func(st control.Status) bool {
		for _, name := range []string{schwabAccount, saxoAccount} {
			for _, d := range account(st, name).Sinks {
				if d.Sink != "bot" && d.Behind > 0 || d.Sink == "bot" && !d.Absent {
					return false
				}
			}
		}
		return true
	})
	for name, sim := range map[string]*brokersim.Server{schwabAccount: schwab, saxoAccount: saxo} {
		now, _ := sim.Current(name)
		if got := decodeFile[tokenFile](t, s.path("new-"+name+".json")); got.Access != now.AccessToken || got.Refresh != "" {
			t.Errorf("the new sink has another token of %s than the newest, or a refresh token", name)
		}
	}
	if !os.SameFile(unchanged, fileOf(t, s.path(schwabAccount+".json"))) {
		t.Error("the sink that lacked nothing was written again")
	}
	r.Stop()

	// The consumer comes while nobody runs.
	bot := newConsumer(t, s.path("bot.sock"), "OK")
	r = startRun(t, s)
	now, _ := schwab.Current(schwabAccount)
	if got := string(bot.until("access_token")); !strings.Contains(got, now.AccessToken) {
		t.Error("the consumer got another token than the newest")
	}
	r.deliveredTo(schwabAccount, "bot", 2)
	r.Stop()
	mustHavePosted(t, schwab, schwabAccount, 1)
	mustHavePosted(t, saxo, saxoAccount, 0)
}

func mustHavePosted(t *testing.T, sim *brokersim.Server, name string, want int) {
	t.Helper()
	if got := sim.Account(name).Posts; got != want {
		t.Errorf("the broker saw %d token requests of account %s, want %d", got, name, want)
	}
}

func fileOf(t *testing.T, path string) os.FileInfo {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// An account that has never had a token is named in the log, with the commands
// that give it one, and so is it in the status; one that has is not.
func TestStartWithoutATokenSaysWhatToDo(t *testing.T) {
	t.Parallel()
	schwab, saxo := startBrokers(t, time.Hour)
	s := newSite(t, bothYAML(schwab, saxo, "before_expiry: 5m"))
	s.logIn(t, saxo, saxoAccount, format.SaxoCache)
	r := startRun(t, s)
	r.until(func(st control.Status) bool { return strings.Contains(r.Stderr(), "no token yet of: ") })
	const login = "tokenkeeper login " + schwabAccount
	if log := r.Stderr(); !strings.Contains(log, "no token yet of: "+schwabAccount+"; log in with: "+login) {
		t.Errorf("the log:\n%s", log)
	}
	if got := s.tool(t, "", "status"); !strings.Contains(got.stdout, "no token yet; log in with: "+login) || strings.Contains(got.stdout, "login "+saxoAccount) {
		t.Errorf("status: %+v", got)
	}
	r.Stop()
}
