package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/sdk/sinktest/folder"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sharedfile/sharedfiletest"
)

// The account of a shared file changes again and again while bots and the supervisor
// refresh its grant, and while a bot holds the lock: nothing is used twice, every bot finds
// the newest token, and a sink that is a program and does not change keeps its process.
func TestReloadBesideBotsAndAPluginSink(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	schwab := startBroker(t, brokersim.Config{Dialect: brokersim.Schwab, AccessLifetime: time.Hour})
	saxo := startBroker(t, brokersim.Config{Dialect: brokersim.Saxo, AccessLifetime: time.Hour, RefreshLifetime: 2 * time.Hour})
	s := newSite(t, "")
	vault, path := t.TempDir(), s.path("shared.json")
	yaml := func(before string) string {
		return "accounts:\n" + accountYAML(schwabAccount, schwab, schwab.TokenURL(), "before_expiry: 5m") +
			accountYAML(saxoAccount, saxo, saxo.TokenURL(), "jitter: 0s, before_expiry: "+before) +
			fmt.Sprintf("    shared_file: {path: %s, format: %s}\n", path, format.SaxoCache) + filesYAML + vaultYAML(t, "vault", vault)
	}
	s.configure(t, yaml("5m"))
	first, cfg := saxo.Grant(saxoAccount), saxo.Config()
	body, err := json.Marshal(map[string]any{
		"app_key": cfg.ClientID, "app_secret": cfg.ClientSecret, "access_token": first.AccessToken, "refresh_token": first.RefreshToken,
		"token_expiry": first.IssuedAt.Add(first.ExpiresIn - time.Minute).Local().Format("2006-01-02T15:04:05.000000"),
	})
	if err == nil {
		err = os.WriteFile(path, body, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.logIn(t, schwab, schwabAccount, format.Schwab)
	r := startRun(t, s)
	r.delivered(saxoAccount, 1)
	r.delivered(schwabAccount, 1)
	pid, bystander := vaultPID(t, r), r.providerProcess("schwab")
	same := func(when string) {
		t.Helper()
		if now := vaultPID(t, r); now != pid {
			t.Errorf("%s: the sink's process %d was replaced by %d", when, pid, now)
		}
		if bystander.ended() {
			t.Errorf("%s: schwab's process was ended", when)
		}
	}
	change := func(before string) {
		t.Helper()
		s.configure(t, yaml(before))
		if got := s.tool(t, "", "reload"); got.code != exitOK || !strings.Contains(got.stdout, "refresh.before_expiry") {
			t.Errorf("to %s: %+v", before, got)
		}
		same("a change of the shared file's account")
	}

	// A bot holds the lock, and an attempt waits for it: nothing of that is sent.
	bot := sharedfiletest.Bot{Path: path, Lock: path + ".lock", TokenURL: saxo.TokenURL()}
	holding := bot
	holding.Hang = true
	holder := sharedfiletest.Start(t, holding)
	holder.Locked(t)
	waiting := r.forceRefresh(saxoAccount)
	waittest.Until(t, "the wish for it", func() bool { return strings.Contains(r.Stderr(), "is asked for refresh") })
	change("6m")
	if n := saxo.Account(saxoAccount).Posts; n != 0 {
		t.Errorf("%d requests were made without the lock", n)
	}
	holder.Kill()
	<-waiting // it was made by who is there now, or told to try again
	r.refreshed(saxoAccount)

	// Bots refresh meanwhile, and so does the supervisor.
	bot.Refreshes, bot.Pause = 15, 300*time.Millisecond
	bots := []*sharedfiletest.Process{sharedfiletest.Start(t, bot), sharedfiletest.Start(t, bot)}
	theirs := 0
	for n := range 8 {
		asked := r.forceRefresh(saxoAccount)
		change(fmt.Sprintf("%dm", 5+n%2*3))
		if err := <-asked; err != nil {
			t.Errorf("a refresh beside a reload: %v", err)
		}
	}
	for _, b := range bots {
		all, err := b.Wait()
		if err != nil {
			t.Errorf("a bot did %d refreshes: %v", len(all), err)
		}
		theirs += len(all)
	}
	r.refreshed(saxoAccount) // the newest is ours
	v := account(r.until(func(st control.Status) bool { return !account(st, saxoAccount).InFlight }), saxoAccount).Version
	r.delivered(saxoAccount, v)
	same("at the end")
	s.mustHold(t, saxo, saxoAccount)
	now, _ := saxo.Current(saxoAccount)
	if inFile := decodeFile[tokenFile](t, path); inFile.Refresh != now.RefreshToken || inFile.Access != now.AccessToken {
		t.Error("the bots' file does not hold the newest token")
	}
	if !strings.Contains(folder.Stored(vault, saxoAccount), now.RefreshToken) {
		t.Error("the sink that is a program does not hold the newest token")
	}
	if c := saxo.Account(saxoAccount); len(saxo.Reused()) > 0 || c.Repeats+c.Refused > 0 || c.Refreshes != c.Posts || theirs != 2*bot.Refreshes {
		t.Errorf("the broker saw %+v, %d of that by bots", c, theirs)
	}

	// An account comes, whose tokens the sink gets, too.
	s.configure(t, strings.Replace(yaml("5m"), filesYAML, accountYAML("schwab-two", schwab, schwab.TokenURL(), "before_expiry: 5m")+filesYAML, 1))
	if got := s.tool(t, "", "reload"); got.code != exitOK {
		t.Errorf("%+v", got)
	}
	r.until(func(st control.Status) bool { return account(st, "schwab-two").Name != "" })
	s.logIn(t, schwab, "schwab-two", format.Schwab)
	r.deliveredTo("schwab-two", "vault", 1)
	same("a new account")

	// A sink that is a program and changes is made anew, after its deliveries.
	s.configure(t, strings.Replace(yaml("5m"), "    restore: true\n", "    restore: true\n    accounts: ["+saxoAccount+"]\n", 1))
	if got := s.tool(t, "", "reload"); got.code != exitOK {
		t.Errorf("%+v", got)
	}
	r.until(func(control.Status) bool { return vaultPID(t, r) != pid })
	r.refreshed(saxoAccount)
	r.deliveredTo(saxoAccount, "vault", v+1)
	r.Stop()
	s.mustBeGone(t)
	if left, err := filepath.Glob(s.path("shared.json.*tmp*")); err != nil || len(left) > 0 {
		t.Errorf("%v are left, %v", left, err)
	}
}
