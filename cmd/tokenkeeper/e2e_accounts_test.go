package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// An account is renamed in the configuration: everybody is told, its login goes on under
// the new name in the same chain at a strict broker, and without a login; and of one that
// is forgotten nothing is left. It is so with a supervisor and without.
func TestRenamedAccount(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	const renamed = "saxo-new"
	r, s, schwab, saxo := startBoth(t)
	yaml := bothYAML(schwab, saxo, "before_expiry: 5m")
	const rule = "before_expiry: 5m"
	schwabs, renamedYAML := "accounts:\n"+accountYAML(schwabAccount, schwab, schwab.TokenURL(), rule), accountYAML(renamed, saxo, saxo.TokenURL(), rule)
	after := schwabs + renamedYAML + filesYAML
	says := func(code int, want []string, args ...string) result {
		t.Helper()
		got := s.tool(t, "", args...)
		text := inOneLine(got.stdout + got.stderr)
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("%v: %q is not in\n%s", args, w, text)
			}
		}
		if got.code != code {
			t.Fatalf("%v: exit code %d\n%s", args, got.code, text)
		}
		return got
	}
	r.refreshed(saxoAccount)
	says(exitFailure, []string{"account " + saxoAccount + " is in the configuration", "write its new name there and reload first"}, "accounts", "rename", saxoAccount, renamed)
	says(exitFailure, []string{"remove it from there and reload first"}, "accounts", "forget", saxoAccount, "--yes")

	unread := s.putUnread(t, "saxo", saxoAccount)
	s.configure(t, after)
	says(exitFailure, []string{"is not in", "any more, and the running supervisor still keeps it", "tokenkeeper reload"}, "accounts", "rename", saxoAccount, renamed)
	told := []string{
		"account " + saxoAccount + " is in the store and in no configuration: nobody refreshes it, and its login lives until",
		"was it renamed to " + renamed + "? Then: tokenkeeper accounts rename " + saxoAccount + " " + renamed,
		"if it is to go: tokenkeeper accounts forget " + saxoAccount,
	}
	says(exitOK, told, "reload")
	says(exitOK, told, "status")
	says(exitOK, told, "status", renamed)
	says(exitFailure, told, "status", saxoAccount)
	says(exitOK, told, "check")
	if log := r.Stderr(); strings.Count(log, told[0]) != 1 || !strings.Contains(log, told[1]) {
		t.Error("the log does not tell it once")
	}
	st := decode[control.Status](t, says(exitOK, nil, "status", "--json").stdout)
	if len(st.Left) != 1 || st.Left[0].Name != saxoAccount || len(st.Left[0].MayBe) != 1 || st.Left[0].MayBe[0] != renamed || !st.Left[0].HasLogin {
		t.Errorf("status: %+v", st.Left)
	}
	says(exitOK, []string{"ACCOUNT PROVIDER CLIENT CONFIGURED VER LOGIN", saxoAccount + " saxo", " no v2 "}, "accounts", "list")
	list := decode[control.AccountList](t, says(exitOK, nil, "accounts", "--json").stdout)
	if len(list.Accounts) != 3 || list.Accounts[0].Name != renamed || !list.Accounts[0].Configured || list.Accounts[0].Version != 0 || list.Accounts[1].Configured || list.Accounts[1].Version != 2 {
		t.Errorf("listed: %+v", list.Accounts)
	}

	// What could be lost is not renamed.
	says(exitFailure, []string{"account " + schwabAccount + " has a token of its own (version 1)"}, "accounts", "rename", saxoAccount, schwabAccount)
	says(exitFailure, []string{`no account is named "saxo-neu"`, `did you mean "` + renamed + `"?`}, "accounts", "rename", saxoAccount, "saxo-neu")
	says(exitFailure, []string{`nothing is stored of an account "saxo-lve"`, saxoAccount}, "accounts", "rename", "saxo-lve", renamed)
	s.configure(t, schwabs+strings.Replace(renamedYAML, "client_id: "+saxo.Config().ClientID, "client_id: another", 1)+filesYAML)
	says(exitOK, []string{"if it has another name now"}, "reload")
	says(exitFailure, []string{"account " + saxoAccount + " can't go on as " + renamed, "granted to another client_id"}, "accounts", "rename", saxoAccount, renamed)
	s.configure(t, after)
	says(exitOK, told, "reload")

	before := saxo.Account(saxoAccount)
	got := decode[control.RenameAnswer](t, says(exitOK, nil, "accounts", "rename", saxoAccount, renamed, "--json").stdout)
	if got.Account != renamed || got.From != saxoAccount || got.Version != 2 || got.Unread != 1 {
		t.Errorf("renamed: %+v", got)
	}
	if u, err := spool.ReadUnread(unread); err != nil || u.Account != renamed || u.Attempt == "" || string(u.Answer) != "an answer" {
		t.Errorf("the unread answer: %+v, %v", u, err)
	}
	r.delivered(renamed, 2)
	s.mustHoldOf(t, saxo, renamed, saxoAccount)
	r.refreshed(renamed)
	r.delivered(renamed, 3)
	s.mustHoldOf(t, saxo, renamed, saxoAccount)
	if now := saxo.Account(saxoAccount); now.Logins != before.Logins || now.Refreshes != before.Refreshes+1 || now.Repeats > 0 || len(saxo.Reused()) > 0 {
		t.Errorf("the broker saw %+v, and before %+v", now, before)
	}
	if st := r.until(func(control.Status) bool { return true }); len(st.Left) > 0 {
		t.Errorf("left: %+v", st.Left)
	}
	says(exitFailure, []string{`nothing is stored of an account "` + saxoAccount + `"`}, "accounts", "rename", saxoAccount, renamed)

	// A restart finds it under the new name alone, and without a supervisor it goes back.
	r.Stop()
	s.configure(t, yaml)
	says(exitOK, []string{renamed + " saxo", " no v3 "}, "accounts", "list")
	says(exitOK, []string{"was it renamed to " + saxoAccount + "?"}, "check")
	says(exitOK, []string{"account " + saxoAccount + " goes on with the login of " + renamed + ", at version 3"}, "accounts", "rename", renamed, saxoAccount)
	r = startRun(t, s)
	r.refreshed(saxoAccount)
	r.delivered(saxoAccount, 4)
	s.mustHold(t, saxo, saxoAccount)

	// What is in no configuration can be forgotten, after a question or with a word.
	s.configure(t, schwabs+filesYAML)
	says(exitOK, []string{"gone account " + saxoAccount, "if it is to go: tokenkeeper accounts forget " + saxoAccount}, "reload")
	says(exitUsage, []string{"version 4 of account " + saxoAccount + ", of provider saxo: its login lives until", "at the broker nothing is done", "add --yes"}, "accounts", "forget", saxoAccount)
	says(exitOK, []string{"what was stored of account " + saxoAccount + " is removed", "1 answer that nobody could read", "At the broker nothing was done: its login lives until"}, "accounts", "forget", saxoAccount, "--yes")
	if _, err := os.Stat(unread); !os.IsNotExist(err) {
		t.Errorf("the unread answer is there: %v", err)
	}
	says(exitFailure, []string{`nothing is stored of an account "` + saxoAccount + `"`}, "accounts", "forget", saxoAccount, "--yes")
	if log := r.Stderr(); !strings.Contains(log, "is asked for forget") || !strings.Contains(log, "was removed\" event=forgotten provider=saxo account="+saxoAccount+" version=4") {
		t.Error("the log does not say who asked for it, and what came of it")
	}
	r.Stop()
	if got := says(exitOK, nil, "store", "inspect"); strings.Contains(got.stdout, saxoAccount) {
		t.Errorf("the store has something of it:\n%s", got.stdout)
	}
	s.mustBeGone(t)
}

// putUnread puts an answer that nobody could read into a provider's spool, as one of the
// account, and returns its path.
func (s *site) putUnread(t *testing.T, provider, account string) string {
	t.Helper()
	dir := t.TempDir()
	sp, err := spool.Open(t.Context(), dir, 1)
	if err != nil {
		t.Fatal(err)
	}
	slot, _, err := sp.Begin(spool.Header{Attempt: "UNREAD", Account: account, Kind: spool.KindRefresh, Version: 1})
	if err == nil {
		err = slot.Advance(spool.Sent)
	}
	if err == nil {
		err = slot.Record([]byte("an answer"))
	}
	if err == nil {
		err = sp.Settle("UNREAD", true)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := sp.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(spool.UnreadPath(dir, "UNREAD"))
	if err != nil {
		t.Fatal(err)
	}
	path := spool.UnreadPath(s.path("state/spool/"+provider), "UNREAD")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Whoever dies when: a login that is renamed is under one of both names, whole, and goes on
// from there.
func TestRenameIsKilled(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	const renamed = "saxo-new"
	_, saxo := startBrokers(t, time.Hour)
	yaml := "accounts:\n" + accountYAML(saxoAccount, saxo, saxo.TokenURL(), "before_expiry: 5m") + filesYAML
	for _, point := range []string{"store: about to write", "store: written", "refresh: an account has its new name"} {
		t.Run(point, func(t *testing.T) {
			s := newSite(t, yaml)
			s.program = buildCrashProgram(t)
			s.logIn(t, saxo, saxoAccount, format.SaxoCache)
			s.configure(t, strings.Replace(yaml, "  "+saxoAccount+":\n", "  "+renamed+":\n", 1))
			s.env = []string{"CRASHPOINT_LOG=" + s.path("passes"), "CRASHPOINT_KILL=supervisor;" + point + ";supervisor"}
			killed := s.tool(t, "", "accounts", "rename", saxoAccount, renamed).code < 0
			s.env = nil
			list := decode[control.AccountList](t, s.tool(t, "", "accounts", "list", "--json").stdout)
			var holders []string
			for _, a := range list.Accounts {
				if a.HasLogin {
					holders = append(holders, a.Name)
				}
			}
			if len(holders) != 1 || !killed {
				t.Fatalf("killed: %t; the login is stored for %v", killed, holders)
			}
			if holders[0] == saxoAccount {
				if got := s.tool(t, "", "accounts", "rename", saxoAccount, renamed); got.code != exitOK {
					t.Fatalf("once more: %+v", got)
				}
			}
			r := startRun(t, s)
			r.refreshed(renamed)
			r.delivered(renamed, 2)
			s.mustHoldOf(t, saxo, renamed, saxoAccount)
			r.Stop()
		})
	}
	if len(saxo.Reused()) > 0 {
		t.Errorf("used twice: %v", saxo.Reused())
	}
}
