package main

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// What is there already is waited for no longer, nor what can never be.
func TestWaitEndsAtOnce(t *testing.T) {
	f := &fake{}
	socket, _, _ := serve(t, f)
	command(t, "", "wait", "main", "--socket", socket).says(t, exitOK, "main: v3 expires 14:21:00 in 60s\n")
	if got := decode[validToken](t, command(t, "", "wait", "main", "--json", "--socket", socket).stdout); got.Account != "main" || got.Version != 3 || !got.Expiry.Equal(now.Add(time.Minute)) {
		t.Errorf("got %+v", got)
	}
	command(t, "", "wait", "main", "--min-valid", "2h", "--socket", socket).says(t, exitFailure, "", "tokenkeeper: account main: none lives so long")
	f.usable = func(string) (control.TokenAnswer, error) {
		return control.TokenAnswer{}, control.Errorf(control.CodeNotFound, "no account is named main")
	}
	command(t, "", "wait", "main", "--socket", socket).says(t, exitFailure, "", "tokenkeeper: no account is named main")
}

// Whose time is over says what was waited for: by the exit code, whether that takes a
// person.
func TestWaitIsOver(t *testing.T) {
	f := &fake{}
	socket, _, _ := serve(t, f)
	wait := func(socket, reason string) (result, time.Duration) {
		return outlasting(t, 100*time.Millisecond, reason, func(timeout string) result {
			return command(t, "", "wait", "main", "--timeout", timeout, "--json", "--socket", socket)
		})
	}
	for _, tt := range []struct {
		code  string
		exit  int
		warns bool
	}{
		{control.CodeNeedsLogin, exitPerson, true}, {control.CodeNoToken, exitPerson, true}, {control.CodeNeedsPerson, exitPerson, true},
		{control.CodeNotYet, exitLater, false}, {control.CodeUnavailable, exitLater, false}, {control.CodeConflict, exitLater, false},
	} {
		f.usable = func(string) (control.TokenAnswer, error) {
			return control.TokenAnswer{}, control.Errorf(tt.code, "account main: there is a reason")
		}
		got, waited := wait(socket, "there is a reason")
		warnings, last := split(got.stderr)
		got.stderr = last
		if fail := failureIn(t, got); got.code != tt.exit || fail.Code != tt.code || fail.Message != "no valid token within "+waited.String()+": account main: there is a reason" {
			t.Errorf("%s: exit code %d, %+v", tt.code, got.code, fail)
		}
		if want := `{"warning":"account main: there is a reason; waiting"}`; (warnings == want) != tt.warns || warnings != "" && !tt.warns {
			t.Errorf("%s: %s", tt.code, warnings)
		}
	}
	got, _ := wait(socket+".none", "no supervisor is running")
	warnings, last := split(got.stderr)
	got.stderr = last
	if fail := failureIn(t, got); got.code != exitLater || fail.Code != "not_running" {
		t.Errorf("without a supervisor: exit code %d, %+v", got.code, fail)
	}
	if strings.Count(warnings, "no supervisor is running") != 1 || strings.Count(warnings, "\n") != 0 {
		t.Errorf("it says %s", warnings)
	}
}

// outlasting runs a command line whose time is over before there is what it waits for, with
// more of it where a busy machine has not come to the reason meanwhile.
func outlasting(t *testing.T, timeout time.Duration, reason string, run func(timeout string) result) (result, time.Duration) {
	t.Helper()
	for late := waittest.Late(t); ; timeout *= 2 {
		got := run(timeout.String())
		if strings.Contains(got.stderr, reason) {
			return got, timeout
		}
		select {
		case <-late:
			return got, timeout
		default:
		}
	}
}

// split takes the last line off.
func split(text string) (before, last string) {
	text = strings.TrimSuffix(text, "\n")
	if at := strings.LastIndex(text, "\n"); at >= 0 {
		return text[:at], text[at+1:]
	}
	return "", text
}

// An event about the account lets it look, and nothing else does: it polls nobody.
func TestWaitLooksWhenSomethingHappens(t *testing.T) {
	var mu sync.Mutex
	looked := make(chan struct{}, 10)
	var there bool
	f := &fake{usable: func(string) (control.TokenAnswer, error) {
		mu.Lock()
		defer mu.Unlock()
		looked <- struct{}{}
		if there {
			return control.TokenAnswer{Account: "main", Version: 4, Expiry: now.Add(time.Hour)}, nil
		}
		return control.TokenAnswer{}, control.Errorf(control.CodeNoToken, "account main has no token yet; log in")
	}}
	socket, bus, _ := serve(t, f)
	var stdout, stderr bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		ended <- testEnv("", &stdout, &stderr).execute(t.Context(), []string{"wait", "main", "--socket", socket})
	}()
	look := func(when string) {
		t.Helper()
		select {
		case <-looked:
		case <-waittest.Late(t):
			t.Fatalf("it does not look %s", when)
		}
	}
	look("at first")
	bus.Publish(0, event.Event{Type: event.Refreshed, Account: "other", Message: "m"})
	bus.Publish(0, event.Event{Type: event.LoginFailed, Account: "main", Message: "m"})
	look("after the account's event")
	select {
	case <-looked:
		t.Error("it looks for another account's event, too")
	default:
	}
	mu.Lock()
	there = true
	mu.Unlock()
	bus.Publish(0, event.Event{Type: event.LoggedIn, Account: "main", Message: "m"})
	select {
	case code := <-ended:
		if code != exitOK || stdout.String() != "main: v4 expires 15:20:00 in 60m\n" || strings.Count(stderr.String(), "waiting") != 1 {
			t.Errorf("exit code %d, stdout %s, stderr %s", code, stdout.String(), stderr.String())
		}
	case <-waittest.Late(t):
		t.Error("it goes on waiting")
	}
}
