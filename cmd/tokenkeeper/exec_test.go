package main

import (
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk/client"
)

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
		env: newEnv(strings.NewReader(""), &out, io.Discard), inFiles: true, held: map[string]client.Token{},
		places: []place{{"main", "TOKEN_FILE"}}, command: []string{"sh", "-c", `cat "$TOKEN_FILE"; echo mine 2>/dev/null >&3 || echo refused`},
	}
	if err := x.openFiles(); err != nil {
		t.Fatal(err)
	}
	defer x.closeFiles()
	for _, token := range []string{"a-longer-token", "token"} {
		var secret client.Secret
		if err := secret.UnmarshalText([]byte(token)); err != nil {
			t.Fatal(err)
		}
		if err := x.hold(news{"main", client.Token{AccessToken: secret}}); err != nil {
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
