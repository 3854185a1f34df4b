package refresh_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/login"
)

// What comes back from another authorization server than the login's is not
// taken, and the login goes on.
func TestAnswerOfAnotherIssuer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		r.broker.issuer = "https://broker.invalid"
		g := r.start()
		synctest.Wait()
		state := r.beginLogin("one")
		for issuer, want := range map[string]error{
			"https://evil.example": login.ErrOtherIssuer, "https://broker.invalid/": login.ErrOtherIssuer,
			"https://broker.invalid": nil, "": nil,
		} {
			if err := r.keeper.CheckIssuer("one", issuer); !errors.Is(err, want) {
				t.Errorf("%q: %v, want %v", issuer, err, want)
			}
		}
		if _, err := r.keeper.CompleteLogin(t.Context(), "one", state, "code-one"); err != nil {
			t.Error(err)
		}
		r.broker.issuer = ""
		r.beginLogin("one")
		if err := r.keeper.CheckIssuer("one", "https://evil.example"); err != nil {
			t.Errorf("whose issuer is not known: %v", err)
		}
		_ = g.end()
	})
}

// A login whose address shows the code verifier, or lacks a challenge that the
// broker demands, is not begun.
func TestLoginWithoutACodeChallenge(t *testing.T) {
	for name, tt := range map[string]struct {
		asks string
		pkce sdk.PKCE
		want string
	}{
		"none needed":          {"", sdk.PKCENone, ""},
		"none, optional":       {"", sdk.PKCEOptional, ""},
		"none, required":       {"", sdk.PKCERequired, "no code challenge"},
		"S256":                 {"code_challenge=x&code_challenge_method=S256&", sdk.PKCERequired, ""},
		"plain":                {"code_challenge=x&code_challenge_method=plain&", sdk.PKCEOptional, "not of the method S256"},
		"plain, by saying nil": {"code_challenge=x&", sdk.PKCENone, "not of the method S256"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 20*time.Minute, "one")
				r.broker.asks, r.broker.pkce = tt.asks, tt.pkce
				g := r.start()
				synctest.Wait()
				_, err := r.keeper.BeginLogin(t.Context(), "one", "", event.Caller{UID: 7})
				if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got %v, want %q", err, tt.want)
				}
				_ = g.end()
			})
		})
	}
}
