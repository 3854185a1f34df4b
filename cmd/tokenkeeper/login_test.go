package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
)

func (f *fake) Login(_ context.Context, account string) (control.LoginAnswer, error) {
	if account == "nobody" {
		return control.LoginAnswer{}, control.Errorf(control.CodeNotFound, "no account is named %q", account)
	}
	return control.LoginAnswer{Account: account, URL: "https://broker.example/authorize?state=s"}, nil
}

func (f *fake) CompleteLogin(_ context.Context, account, redirected string) (control.LoggedInAnswer, error) {
	f.redirected = redirected
	return control.LoggedInAnswer{Account: account, Version: 4, Expiry: now.Add(30 * time.Minute), RefreshExpiry: now.Add(7 * 24 * time.Hour)}, nil
}

func (f *fake) ConfirmLogin(_ context.Context, account string) (control.LoggedInAnswer, error) {
	if account != "main" {
		return control.LoggedInAnswer{}, control.Errorf(control.CodeConflict, "no login of another person waits here")
	}
	return control.LoggedInAnswer{Account: account, Person: "bob (00112233)", Version: 5, Expiry: now.Add(30 * time.Minute)}, nil
}

func (f *fake) DiscardLogin(_ context.Context, account string) (control.DiscardedAnswer, error) {
	return control.DiscardedAnswer{Account: account, Person: "bob (00112233)"}, nil
}

// A login of another person is confirmed or discarded, and nobody is asked for an
// address then.
func TestLoginOfAnother(t *testing.T) {
	socket, _, stop := serve(t, &fake{})
	defer stop()
	say := func(args ...string) result {
		return command(t, "", append([]string{"login", "--socket", socket}, args...)...)
	}
	got := say("main", "--confirm")
	if got.code != exitOK || !strings.Contains(got.stdout, "main: logged in as v5\n  person         bob (00112233)\n") || got.stderr != "" {
		t.Errorf("confirm: %+v", got)
	}
	say("main", "--discard").says(t, exitOK, "main: the login of bob (00112233) is forgotten, and the account is as it was\n")
	if got := say("main", "--discard", "--json"); got.code != exitOK || !strings.Contains(got.stdout, `"person": "bob (00112233)"`) {
		t.Errorf("discard, JSON: %+v", got)
	}
	say("other", "--confirm").says(t, exitFailure, "", "no login of another person waits here")
	say("main", "--confirm", "--discard").says(t, exitUsage, "", "give --confirm or --discard")
}

func TestLogin(t *testing.T) {
	f := &fake{}
	socket, _, stop := serve(t, f)
	defer stop()
	const pasted = "https://127.0.0.1:8182/?code=C0.abc%40&state=s"
	got := command(t, pasted+"\n", "login", "main", "--socket", socket)
	if got.code != exitOK || !strings.Contains(got.stdout, "main: logged in as v4") {
		t.Errorf("exit %d, stdout %q", got.code, got.stdout)
	}
	if !strings.Contains(got.stderr, "https://broker.example/authorize?state=s") {
		t.Errorf("stderr %q does not show the address", got.stderr)
	}
	if strings.Contains(got.stdout+got.stderr, "C0.abc") {
		t.Error("the code is printed")
	}
	if f.redirected != pasted {
		t.Errorf("the supervisor got %q, want the whole address", f.redirected)
	}

	got = command(t, "", "login", "main", "--socket", socket)
	got.says(t, exitFailure, "", "no address was pasted: nothing was changed")
	got = command(t, "", "login", "nobody", "--socket", socket)
	got.says(t, exitFailure, "", `no account is named "nobody"`)
}
