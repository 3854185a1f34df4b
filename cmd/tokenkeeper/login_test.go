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
