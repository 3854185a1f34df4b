package main

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

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
