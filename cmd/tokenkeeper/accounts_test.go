package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
)

// sampleAccounts has one of each kind.
func sampleAccounts() control.AccountList {
	at := func(d time.Duration) time.Time { return now.Add(d) }
	return control.AccountList{Now: now, Accounts: []control.ListedAccount{
		{Name: "saxo-live", Provider: "saxo", Configured: true, ClientID: "9f31", Client: "0011223344556677", Version: 812, HasLogin: true, Way: "refresh", Expiry: at(time.Minute), RefreshExpiry: at(40 * time.Minute)},
		{Name: "schwab-gone", Provider: "schwab", Client: "8899aabbccddeeff", Version: 3, Way: "refresh", RefreshExpiry: at(-50 * time.Hour)},
		{Name: "schwab-main", Provider: "schwab", Configured: true, ClientID: "AbCd", Client: "ffeeddccbbaa9988"},
		{Name: "schwab-old", Provider: "schwab", ClientID: "AbCd", Client: "ffeeddccbbaa9988", Version: 41, HasLogin: true, Way: "refresh", RefreshExpiry: at(50 * time.Hour), MayBe: []string{"schwab-main"}},
		{Name: "session", Provider: "plug", Version: 2, HasLogin: true, Way: "renew", Expiry: at(time.Hour)},
		{Name: "never-ends", Provider: "plug", Client: "1234", Version: 2, HasLogin: true, Way: "refresh"},
		{Name: "key", Provider: "plug", Client: "1234", Version: 9, HasLogin: true, Way: "mint", Expiry: at(time.Hour)},
		{Name: "refused", Provider: "plug", Client: "1234", Version: 9, Way: "refresh", RefreshRefused: true},
	}}
}

func TestAccountsList(t *testing.T) {
	socket, _, _ := serve(t, &fake{})
	for _, args := range [][]string{{"accounts"}, {"accounts", "list"}} {
		got := command(t, "", append(args, "--socket", socket)...)
		if got.code != exitOK || got.stderr != "" {
			t.Errorf("%v: %+v", args, got)
		}
		golden(t, "accounts.golden", got.stdout)
		fitsColumns(t, got.stdout)
	}
	got := command(t, "", "accounts", "--json", "--socket", socket)
	if all := decode[control.AccountList](t, got.stdout); got.code != exitOK || len(all.Accounts) != 8 || all.Accounts[3].MayBe[0] != "schwab-main" {
		t.Errorf("%+v", got)
	}
}

// What is left is told with what can be done, and of many the first ones.
func TestLeftAccounts(t *testing.T) {
	var left []control.ListedAccount
	for _, a := range sampleAccounts().Accounts {
		if !a.Configured {
			left = append(left, a)
		}
	}
	for name, want := range map[string]string{
		"schwab-gone": "its login ended", "schwab-old": "was it renamed to schwab-main? Then: tokenkeeper accounts rename schwab-old schwab-main; if it is to go: tokenkeeper accounts forget schwab-old",
		"session": "if it has another name now: tokenkeeper accounts rename session NEW", "never-ends": "its login lives until nobody knows when",
		"key": "its last token, which was minted, lives until", "refused": "its login is over: the broker has refused its refresh token; if it is to go: tokenkeeper accounts forget refused",
	} {
		for _, a := range left {
			what, todo := a.LeftText(now)
			if text := what + "; " + todo; a.Name == name && (!strings.Contains(text, want) || !strings.HasPrefix(text, "account "+name+" is in the store and in no configuration")) {
				t.Errorf("%s: %s", name, text)
			}
			if strings.Contains(todo, "rename") && a.Name != "schwab-old" && a.Name != "session" && a.Name != "never-ends" {
				t.Errorf("%s: there is nothing to rename: %s", a.Name, todo)
			}
		}
	}
	s := sampleStatus()
	s.Left = left
	text := renderStatus(s, now, painter{}, narrow)
	fitsColumns(t, text)
	for _, want := range []string{"account schwab-gone is in the store", "account schwab-old is in the store", "and 3 more accounts are in the store and in no configuration: tokenkeeper accounts list"} {
		if !strings.Contains(inOneLine(text), want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if strings.Contains(text, "account refused is") {
		t.Errorf("too many are named:\n%s", text)
	}
	if one, err := onlyOf(s, s.Accounts[0].Name); err != nil || len(one.Left) != 0 {
		t.Errorf("of an account that it can't be: %+v, %v", one.Left, err)
	}
	if _, err := onlyOf(s, "schwab-old"); err == nil || !strings.Contains(err.Error(), "was it renamed") {
		t.Errorf("of one that is left: %v", err)
	}
}

func TestAccountsVerbs(t *testing.T) {
	socket, _, _ := serve(t, &fake{})
	for _, tt := range []struct {
		args   string
		code   int
		stdout string
		stderr []string
	}{
		{"accounts rename schwab-old schwab-main", 0, "account schwab-main goes on with the login of schwab-old, at version 12; 2 answers of the broker, which nobody could read, are its own now: tokenkeeper spool\n", nil},
		{"accounts forget schwab-old --yes", 0, "what was stored of account schwab-old is removed, with 1 attempt that nobody has settled, with 1 answer that nobody could read. " +
			"At the broker nothing was done: its login lives until Sep 16 16:20 in 2d, unless somebody ends it at the broker's site\n", nil},
		{"accounts forget schwab-gone --yes", 0, "what was stored of account schwab-gone is removed, with 1 attempt that nobody has settled, with 1 answer that nobody could read\n", nil},
		{"accounts forget schwab-old", 2, "", []string{"version 41 of account schwab-old, of provider schwab: its login lives until", "To remove it, add --yes"}},
		{"accounts forget schwab-old --revoke --yes", 0, "what was stored of account schwab-old is removed, with 1 attempt that nobody has settled, with 1 answer that nobody could read. At the broker its login was ended 14:19:59 just now\n", nil},
		{"accounts forget schwab-old --revoke", 2, "", []string{"Its login is ended at the broker first, and only if that is done it is removed", "add --yes"}},
		{"accounts forget schwab-main", 1, "", []string{"account schwab-main is in the configuration"}},
		{"accounts forget schwab-main --yes", 1, "", []string{"account schwab-main is in the configuration"}},
	} {
		t.Run(tt.args, func(t *testing.T) {
			got := command(t, "", append(strings.Fields(tt.args), "--socket", socket)...)
			got.stderr = inOneLine(got.stderr)
			got.says(t, tt.code, tt.stdout, tt.stderr...)
		})
	}
}

// On a terminal it is asked first, and nothing but a yes is one.
func TestForgetAsksOnATerminal(t *testing.T) {
	socket, _, _ := serve(t, &fake{})
	for answer, want := range map[string]struct {
		code int
		says string
	}{
		"y\n": {exitOK, "what was stored of account schwab-old is removed"}, "YES\n": {exitOK, "is removed"},
		"\n": {exitFailure, "nothing was removed"}, "no\n": {exitFailure, "nothing was removed"}, "schwab-old\n": {exitFailure, "nothing was removed"},
	} {
		p := newTerminal(t)
		var stdout bytes.Buffer
		e := newEnv(p.File, &stdout, p.File)
		e.now, e.getenv = func() time.Time { return now }, func(string) string { return "" }
		if _, err := p.other.WriteString(answer); err != nil {
			t.Fatal(err)
		}
		code := e.execute(t.Context(), []string{"accounts", "forget", "schwab-old", "--socket", socket})
		text := inOneLine(stdout.String() + p.text())
		if code != want.code || !strings.Contains(text, want.says) || !strings.Contains(text, "version 41 of account schwab-old, of provider schwab: its login lives until") ||
			!strings.Contains(text, "Remove it for good? [y/N]") {
			t.Errorf("%q: exit code %d, %s", answer, code, text)
		}
	}
}
