package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// openLogin is of a user whom no machine has.
func openLogin() control.OpenLogin {
	return control.OpenLogin{BegunAt: now.Add(-2 * time.Minute), By: event.Caller{UID: 4000000, PID: 7, Program: "/usr/bin/curl"}, Until: now.Add(13 * time.Minute)}
}

func (f *fake) CancelLogin(_ context.Context, account string) (control.CancelledAnswer, error) {
	if account != "main" {
		return control.CancelledAnswer{}, control.Errorf(control.CodeConflict, "no login is open")
	}
	return control.CancelledAnswer{Account: account, OpenLogin: openLogin()}, nil
}

func (f *fake) Login(_ context.Context, account, shape string, by event.Caller) (control.LoginAnswer, error) {
	if account == "begun" {
		return control.LoginAnswer{Account: account, Address: "https://broker.example/authorize?state=first", Earlier: true, OpenLogin: openLogin()}, nil
	}
	if shape == "device" {
		return control.LoginAnswer{Account: account, ID: "id", Address: "https://broker.example/device", UserCode: "WDJB-MJHT", Instructions: "Type it.", Polled: true,
			OpenLogin: control.OpenLogin{Shape: shape, BegunAt: now, By: by, Until: now.Add(15 * time.Minute)}}, nil
	}
	if shape != "" {
		return control.LoginAnswer{Account: account, ID: "id", Instructions: "Do it.",
			OpenLogin: control.OpenLogin{Shape: shape, BegunAt: now, By: by, Until: now.Add(15 * time.Minute)}}, nil
	}
	if account == "nobody" {
		return control.LoginAnswer{}, control.Errorf(control.CodeNotFound, "no account is named %q", account)
	}
	return control.LoginAnswer{Account: account, Address: cmp.Or(f.address, "https://broker.example/authorize?state=s"),
		OpenLogin: control.OpenLogin{BegunAt: now, By: by, Until: now.Add(15 * time.Minute)}}, nil
}

func (f *fake) AwaitLogin(_ context.Context, account, id string) (control.AwaitedAnswer, error) {
	if account == "declined" {
		return control.AwaitedAnswer{}, control.Errorf(control.CodeBadRequest, "account declined: the login was declined at the broker; begin again with: tokenkeeper login declined")
	}
	if f.awaited++; f.awaited < 3 || id != "id" {
		return control.AwaitedAnswer{Account: account}, nil
	}
	return control.AwaitedAnswer{Account: account, LoggedIn: &control.LoggedInAnswer{Account: account, Version: 4, Expiry: now.Add(30 * time.Minute)}}, nil
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
	say("main", "--cancel", "--discard").says(t, exitUsage, "", "give --confirm or --discard or --cancel")
}

// Whoever begins a login while one is open is told of that one, and can end it.
func TestLoginThatIsOpen(t *testing.T) {
	socket, _, stop := serve(t, &fake{})
	defer stop()
	got := command(t, "", "login", "begun", "--socket", socket)
	got.says(t, exitFailure, "", "A login of this account is open: begun 2m ago by user 4000000 with curl, open until", "state=first")
	got = command(t, "", "login", "main", "--cancel", "--socket", socket)
	if got.code != exitOK || !strings.Contains(got.stdout, "main: the login (begun 2m ago by user 4000000 with curl, open until ") || !strings.Contains(got.stdout, ") is cancelled\n") {
		t.Errorf("cancel: %+v", got)
	}
	got = command(t, "", "login", "main", "--cancel", "--json", "--socket", socket)
	if got.code != exitOK || !strings.Contains(got.stdout, `"uid": 4000000`) || !strings.Contains(got.stdout, `"until": "`) {
		t.Errorf("cancel, JSON: %+v", got)
	}
	command(t, "", "login", "other", "--cancel", "--socket", socket).says(t, exitFailure, "", "no login is open")
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

	got = command(t, pasted+"\n", "login", "main", "--json", "--socket", socket)
	begun := decode[begunLogin](t, got.stderr).Login
	if strings.Count(got.stderr, "\n") != 1 || begun.Address != "https://broker.example/authorize?state=s" || begun.Account != "main" || !begun.Until.Equal(now.Add(15*time.Minute)) {
		t.Errorf("stderr %q does not tell a program the address", got.stderr)
	}
	if got := decode[control.LoggedInAnswer](t, got.stdout); got.Version != 4 {
		t.Errorf("JSON: %+v", got)
	}

	got = command(t, "", "login", "main", "--socket", socket)
	got.says(t, exitFailure, "", "no address was pasted: nothing was changed, and the login stays open until", "tokenkeeper login main, or end it with --cancel")
	got = command(t, "", "login", "nobody", "--socket", socket)
	got.says(t, exitFailure, "", `no account is named "nobody"`)
}

// What a person does follows from the shape of the login, and so does what is waited
// for.
func TestLoginOfAShape(t *testing.T) {
	f := &fake{}
	socket, _, stop := serve(t, f)
	defer stop()
	got := command(t, "", "login", "main", "--shape", "device", "--socket", socket)
	if got.code != exitOK || !strings.Contains(got.stdout, "main: logged in as v4") || f.awaited != 3 {
		t.Errorf("device: %+v, awaited %d times", got, f.awaited)
	}
	for _, want := range []string{"Open this address:\n\n  https://broker.example/device\n", "\n  WDJB-MJHT\n", "Type it.\n", "The broker is asked until you are done, at most until "} {
		if !strings.Contains(got.stderr, want) {
			t.Errorf("%q is not in %q", want, got.stderr)
		}
	}
	f.awaited = 2
	got = command(t, "", "login", "main", "--shape", "device", "--json", "--socket", socket)
	if begun := decode[begunLogin](t, got.stderr).Login; begun.UserCode != "WDJB-MJHT" || begun.Shape != "device" || !begun.Polled || begun.ID == "" || begun.Until.IsZero() {
		t.Errorf("stderr %q does not tell a program what to show", got.stderr)
	}
	if got := decode[control.LoggedInAnswer](t, got.stdout); got.Version != 4 {
		t.Errorf("JSON: %+v", got)
	}
	got = command(t, "", "login", "main", "--shape", "device", "--no-wait", "--json", "--socket", socket)
	if begun := decode[control.LoginAnswer](t, got.stdout); got.code != exitOK || begun.UserCode != "WDJB-MJHT" || got.stderr != "" {
		t.Errorf("left, JSON: %+v", got)
	}
	got = command(t, "", "login", "main", "--shape", "device", "--no-wait", "--socket", socket)
	if got.code != exitOK || !strings.Contains(got.stdout, "main: the login stays open until ") || !strings.Contains(got.stderr, "WDJB-MJHT") {
		t.Errorf("left: %+v", got)
	}
	for _, shape := range []string{"paste_token", "verifier", "paste_address"} {
		got := command(t, "", "login", "main", "--shape", shape, "--no-wait", "--socket", socket)
		if got.code != exitOK || !strings.Contains(got.stderr, "Do it.\n") || strings.Contains(got.stderr, "Then ") || !strings.Contains(got.stdout, "go on with: tokenkeeper login main, or end it with --cancel") {
			t.Errorf("left, %s: %+v", shape, got)
		}
	}
	command(t, "", "login", "declined", "--shape", "device", "--socket", socket).says(t, exitFailure, "", "the login was declined at the broker")

	for shape, says := range map[string]string{
		"paste_token": "Then paste the token that the broker shows; it is not shown here:", "verifier": "Then type the code that the broker shows:",
		"paste_address": "Then paste the whole address that the browser shows:",
	} {
		got := command(t, "what-it-showed\n", "login", "main", "--shape", shape, "--socket", socket)
		if got.code != exitOK || f.redirected != "what-it-showed" || !strings.Contains(got.stderr, "Do it.\n") || !strings.Contains(got.stderr, says) || strings.Contains(got.stdout+got.stderr, "what-it-showed") {
			t.Errorf("%s: %+v, handed in %q", shape, got, f.redirected)
		}
	}
	command(t, "", "login", "main", "--shape", "paste_token", "--socket", socket).says(t, exitFailure, "", "no token was pasted: nothing was changed, and the login stays open")
	command(t, "", "login", "main", "--shape", "device", "--cancel", "--socket", socket).says(t, exitUsage, "", "--shape and --no-wait are for a login that begins")
}

// On a terminal of any width the address stands whole on a line of its own, and what holds
// a token is not shown. What the terminal has cut is not handed in: it would cost the login.
func TestLoginOnATerminal(t *testing.T) {
	f := &fake{address: "https://broker.example/authorize?state=" + strings.Repeat("s", 300)}
	socket, _, _ := serve(t, f)
	const good, cut = "main: logged in as v4", "a terminal takes 4095 characters in a line, and has cut what was pasted: nothing was changed. Put the %s into a file and hand that in: tokenkeeper login main <FILE"
	long := strings.Repeat("secret", 1000)
	for name, tt := range map[string]struct {
		shape, typed string
		code         int
		handed, says string
	}{
		"an address":      {"", "https://127.0.0.1:8182/?code=C0.abc", exitOK, "https://127.0.0.1:8182/?code=C0.abc", good},
		"a token":         {"paste_token", "the-secret-token", exitOK, "the-secret-token", good},
		"a post":          {"callback", "the=secret&post=1", exitOK, "the=secret&post=1", good},
		"the longest one": {"paste_token", long[:longestTyped-1], exitOK, long[:longestTyped-1], good},
		"a longer token":  {"paste_token", long, exitFailure, "", fmt.Sprintf(cut, "token")},
		"a longer post":   {"callback", long, exitFailure, "", fmt.Sprintf(cut, "post")},
		"a long address":  {"", long, exitFailure, "", fmt.Sprintf(cut, "address")},
	} {
		for _, size := range []struct{ rows, columns int }{{24, narrow}, {40, 120}} {
			t.Run(fmt.Sprintf("%s, %d columns", name, size.columns), func(t *testing.T) {
				p := newTerminal(t)
				p.resize(t, size.rows, size.columns)
				before := p.mode(t)
				f.redirected = ""
				e := newEnv(p.File, p.File, p.File)
				e.now, e.getenv = func() time.Time { return now }, func(string) string { return "" }
				ended := make(chan int, 1)
				go func() {
					ended <- e.execute(t.Context(), []string{"login", "main", "--shape=" + tt.shape, "--socket", socket})
				}()
				hidden := tt.shape != ""
				waittest.Until(t, "it asks", func() bool {
					return strings.Contains(inOneLine(p.shown.String()), "aste the ") && (p.mode(t).Lflag&unix.ECHO == 0) == hidden
				})
				if _, err := p.other.WriteString(tt.typed + "\n"); err != nil {
					t.Fatal(err)
				}
				code := waittest.Receive(t, "its end", ended)
				after := p.mode(t)
				text := p.text()
				if code != tt.code || f.redirected != tt.handed || !strings.Contains(inOneLine(text), tt.says) {
					t.Errorf("exit code %d, handed in %d characters, want %d and %d:\n%.3000s", code, len(f.redirected), tt.code, len(tt.handed), text)
				}
				if after != before {
					t.Errorf("the terminal had the mode %+v, and was left with %+v", before, after)
				}
				if hidden && size.columns == narrow {
					fitsColumns(t, text)
				}
				if shown := strings.Contains(text, tt.typed[:10]); shown == hidden {
					t.Errorf("what was pasted is shown: %t:\n%.3000s", shown, text)
				}
				if !hidden && !strings.Contains(text, "\n  "+f.address+"\n\n") {
					t.Errorf("the address does not stand whole on its line:\n%.3000s", text)
				}
			})
		}
	}
}
