package backend

import (
	"errors"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Only the broker's word on the tokens that it gives says for how long any can live.
func TestForHowLongTokensLive(t *testing.T) {
	hour := sdk.Token{Lifetime: time.Hour}
	for _, c := range []struct {
		rec  store.Record
		want time.Duration
	}{
		{store.Record{Origin: store.OriginRefresh, Token: hour}, time.Hour},
		{store.Record{Origin: store.OriginLogin, Token: hour}, time.Hour},
		{store.Record{Origin: store.OriginMint, Token: hour}, time.Hour},
		{store.Record{Origin: store.OriginImport, Token: hour}, 0},
		{store.Record{Origin: store.OriginExternal, Token: hour}, 0},
		{store.Record{Origin: store.OriginRefresh, Token: sdk.Token{Lifetime: time.Hour, Uncertain: true}}, 0},
		{store.Record{Origin: store.OriginRefresh, Token: sdk.Token{Lifetime: -time.Second}}, 0},
		{store.Record{}, 0},
	} {
		if got := lifeOf(c.rec); got != c.want {
			t.Errorf("%+v: %s, want %s", c.rec, got, c.want)
		}
	}
}

// What lasts until a person does something is told as that, and what passes by itself, or has
// a code of its own, is not.
func TestWhatAProgramIsToldOfWhatTakesAPerson(t *testing.T) {
	secret := refresh.Status{Shown: refresh.Shown{Waiting: promise.Client}}
	for name, c := range map[string]struct {
		st   refresh.Status
		code string
		want string
	}{
		"a client secret that was refused, and its token perhaps spent": {secret, control.CodeUnavailable, control.CodeNeedsPerson},
		"the same before its turn":                                      {refresh.Status{Shown: refresh.Shown{LastKind: sdk.KindInvalidClient}}, control.CodeUnavailable, control.CodeNeedsPerson},
		"a client secret that is presented again by itself":             {refresh.Status{Shown: refresh.Shown{LastKind: sdk.KindInvalidClient, Due: time.Now()}}, control.CodeUnavailable, control.CodeUnavailable},
		"a question about a shared file":                                {refresh.Status{Shown: refresh.Shown{Waiting: promise.Asked}}, control.CodeUnavailable, control.CodeNeedsPerson},
		"a login that was granted elsewhere":                            {refresh.Status{Shown: refresh.Shown{Withheld: "granted elsewhere"}}, control.CodeConflict, control.CodeNeedsPerson},
		"a pause after a failure":                                       {refresh.Status{Shown: refresh.Shown{Waiting: promise.BackOff}}, control.CodeUnavailable, control.CodeUnavailable},
		"nothing":                                                       {refresh.Status{}, control.CodeConflict, control.CodeConflict},
		"a pause":                                                       {secret, control.CodePaused, control.CodePaused},
		"a login":                                                       {secret, control.CodeNeedsLogin, control.CodeNeedsLogin},
		"a moment":                                                      {secret, control.CodeNotYet, control.CodeNotYet},
	} {
		got, ok := errors.AsType[*control.Error](forProgram(c.st, control.Errorf(c.code, "account main: do this")))
		if !ok || got.Code != c.want || got.Message != "account main: do this" {
			t.Errorf("%s: %+v, want %s", name, got, c.want)
		}
	}
}

// Nothing was refreshed for the program before, and this one is told why.
func TestSecondWhoAsksForWhatIsWithheld(t *testing.T) {
	st := refresh.Status{Shown: refresh.Shown{Withheld: "granted elsewhere"}, Record: store.Record{Account: "main"}}
	got := forProgram(st, control.Errorf(control.CodeNotYet, "account main: it was refreshed for one 1s ago"))
	e, ok := errors.AsType[*control.Error](got)
	if !ok || e.Code != control.CodeNeedsPerson || !e.RetryAt.IsZero() || e.Message != "account main: its refresh token is not used: granted elsewhere" {
		t.Errorf("%+v", got)
	}
}

// A token meets a request by its version, and by what is left of its life.
func TestWhatMeetsARequest(t *testing.T) {
	now := time.Date(2026, 9, 14, 14, 20, 0, 0, time.UTC)
	for _, c := range []struct {
		req  control.TokenRequest
		left time.Duration // 0: nobody knows
		want bool
	}{
		{control.TokenRequest{}, time.Second, true},
		{control.TokenRequest{}, -time.Second, false},
		{control.TokenRequest{MinValid: time.Minute}, time.Minute, false},
		{control.TokenRequest{MinValid: time.Minute}, time.Minute + 1, true},
		{control.TokenRequest{MinValid: time.Minute}, 0, true},
		{control.TokenRequest{IfVersion: 6}, time.Second, true},
		{control.TokenRequest{IfVersion: 7}, time.Hour, false},
		{control.TokenRequest{IfVersion: 6, MinValid: time.Hour}, time.Minute, false},
	} {
		got := control.TokenAnswer{Version: 7}
		if c.left != 0 {
			got.Expiry = now.Add(c.left)
		}
		if c.req.IsMetBy(got, now) != c.want {
			t.Errorf("%+v, %s left: %t", c.req, c.left, !c.want)
		}
		if err := notUsable(c.req, got, now); err == nil {
			t.Error("no error")
		}
	}
}
