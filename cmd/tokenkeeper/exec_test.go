package main

import (
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
)

// While one token is waited for another grows old or is replaced: the program starts when
// all are valid at once, with those, and all of that has to happen in time.
func TestExecStartsWhenAllAreValidAtOnce(t *testing.T) {
	mustHave(t, "sh")
	var mu sync.Mutex
	var asked map[string]int
	var dies bool
	f := &fake{usable: func(account string) (control.TokenAnswer, error) {
		mu.Lock()
		defer mu.Unlock()
		asked[account]++
		version := uint64(1)
		switch {
		case account == "a" && asked["b"] > 0:
			version = 2
		case account == "b" && dies && asked["b"] > 1:
			return control.TokenAnswer{}, control.Errorf(control.CodeNeedsLogin, "account b needs a login")
		}
		return control.TokenAnswer{Account: account, Version: version, AccessToken: account + strconv.FormatUint(version, 10)}, nil
	}}
	socket, _, _ := serve(t, f)
	run := func(timeout string) result {
		mu.Lock()
		asked = map[string]int{}
		mu.Unlock()
		return command(t, "", "exec", "--socket", socket, "--timeout", timeout, "-a", "a=A", "-a", "b=B", "--", "sh", "-c", `echo "$A $B"`)
	}
	run("1m").says(t, exitOK, "a2 b1\n")
	dies = true
	got, waited := outlasting(t, time.Second, "account b needs a login", run)
	got.says(t, exitPerson, "", "account b needs a login; waiting", "no valid token within "+waited.String()+": account b needs a login")
}

// A token that can't be put into its file is not taken for the one that the program has.
func TestATokenThatCouldNotBeWrittenIsNotHeld(t *testing.T) {
	x := &execution{env: newEnv(strings.NewReader(""), io.Discard, io.Discard), inFiles: true, held: map[string]control.TokenAnswer{}, places: []place{{"main", "TOKEN_FILE"}}}
	if err := x.openFiles(); err != nil {
		t.Fatal(err)
	}
	x.closeFiles()
	if err := x.hold(control.TokenAnswer{Account: "main", Version: 2, AccessToken: "token"}); err == nil || x.held["main"].Version != 0 {
		t.Errorf("it holds version %d: %v", x.held["main"].Version, err)
	}
}

// What was ignored when this began, as under nohup, is not handed on.
func TestIgnoredSignalsStayIgnored(t *testing.T) {
	if !slices.Contains(handedOn(), os.Signal(unix.SIGALRM)) {
		t.Error("a signal is not handed on")
	}
	signal.Ignore(unix.SIGALRM)
	defer signal.Reset(unix.SIGALRM)
	if slices.Contains(handedOn(), os.Signal(unix.SIGALRM)) {
		t.Error("an ignored signal is handed on")
	}
}

// A shorter token leaves nothing of the longer one, and the program can't change it.
func TestTokenInAFileInMemory(t *testing.T) {
	var out strings.Builder
	x := &execution{
		env: newEnv(strings.NewReader(""), &out, io.Discard), inFiles: true, held: map[string]control.TokenAnswer{},
		places: []place{{"main", "TOKEN_FILE"}}, command: []string{"sh", "-c", `cat "$TOKEN_FILE"; echo mine 2>/dev/null >&3 || echo refused`},
	}
	if err := x.openFiles(); err != nil {
		t.Fatal(err)
	}
	defer x.closeFiles()
	for _, token := range []string{"a-longer-token", "token"} {
		if err := x.hold(control.TokenAnswer{Account: "main", AccessToken: token}); err != nil {
			t.Fatal(err)
		}
	}
	p, err := x.start()
	if err != nil {
		t.Fatal(err)
	}
	<-p.ended
	if got := out.String(); got != "token\nrefused\n" {
		t.Errorf("the program has read %q", got)
	}
}

func TestWhereAProgramFindsItsTokens(t *testing.T) {
	for _, tt := range []struct {
		accounts []string
		inFiles  bool
		want     []place
	}{
		{[]string{"main"}, false, []place{{"main", "TOKENKEEPER_ACCESS_TOKEN"}}},
		{[]string{"main"}, true, []place{{"main", "TOKENKEEPER_ACCESS_TOKEN_FILE"}}},
		{[]string{"schwab-main", "saxo.live"}, false, []place{{"schwab-main", "TOKENKEEPER_ACCESS_TOKEN_SCHWAB_MAIN"}, {"saxo.live", "TOKENKEEPER_ACCESS_TOKEN_SAXO_LIVE"}}},
		{[]string{"a=A", "b"}, true, []place{{"a", "A"}, {"b", "TOKENKEEPER_ACCESS_TOKEN_B_FILE"}}},
	} {
		if got, err := placesOf(tt.accounts, tt.inFiles); err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%v: %v, %v; want %v", tt.accounts, got, err, tt.want)
		}
	}
}

func TestReactions(t *testing.T) {
	for text, want := range map[string]reaction{
		"nothing": {}, "restart": {restart: true}, "signal=HUP": {signal: unix.SIGHUP}, "signal=USR1": {signal: unix.SIGUSR1},
	} {
		var r reaction
		if err := r.Set(text); err != nil || r != want || r.String() != text {
			t.Errorf("%s: %+v, %v", text, r, err)
		}
	}
	var r reaction
	if err := r.Set("signal=sighup"); err != nil || r.signal != unix.SIGHUP {
		t.Errorf("in another case: %+v, %v", r, err)
	}
	for _, text := range []string{"", "HUP", "signal=", "signal=STOP", "signal=KILL", "signal=9", "Restart"} {
		if err := r.Set(text); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
}

// A program gets what is ours of the environment, but nothing that the configuration may
// have there, nor what another exec has given to its own program.
func TestAProgramGetsNoConfiguration(t *testing.T) {
	got := passedOn([]string{
		"PATH=/bin", "TOKENKEEPER_ACCOUNTS__MAIN__CLIENT_SECRET=secret", "TOKENKEEPER_CONFIG=/etc/a.yaml", "TOKENKEEPER_ACCESS_TOKEN=token",
		"TOKENKEEPER_LOG__LEVEL=debug", "SAXO_TOKEN=token", "TOKENKEEPER_CONFIG_X=y",
	})
	if want := []string{"PATH=/bin", "TOKENKEEPER_CONFIG=/etc/a.yaml", "SAXO_TOKEN=token"}; !slices.Equal(got, want) {
		t.Errorf("it gets %q, want %q", got, want)
	}
	t.Setenv("TOKENKEEPER_ACCOUNTS__MAIN__CLIENT_SECRET", "secret")
	var out strings.Builder
	x := &execution{
		env: newEnv(strings.NewReader(""), &out, io.Discard), command: []string{"sh", "-c", "env | grep ^TOKENKEEPER_"},
		held: map[string]control.TokenAnswer{"main": {Account: "main", AccessToken: "token"}}, places: []place{{"main", usualVariable}},
	}
	p, err := x.start()
	if err != nil {
		t.Fatal(err)
	}
	<-p.ended
	if got := out.String(); got != "TOKENKEEPER_ACCESS_TOKEN=token\n" {
		t.Errorf("the program has %q", got)
	}
}
