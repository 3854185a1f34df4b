package refresh_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// checking is a broker that can be asked about an access token.
type checking struct {
	*broker
	asked chan sdk.CheckRequest
	says  error
}

func (c *checking) Check(_ context.Context, req sdk.CheckRequest) error {
	c.asked <- req
	time.Sleep(120 * time.Millisecond)
	return c.says
}

// TestCheck: the newest access token is shown to the broker, and nothing else; whatever that
// says, nothing follows from it. One that is over, or not there, is shown to nobody.
func TestCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		c := &checking{broker: r.broker, asked: make(chan sdk.CheckRequest, 1)}
		r.provider = c
		g := r.start()
		synctest.Wait()
		refused := &sdk.Error{Kind: sdk.KindInvalidGrant, Message: "the broker refuses the access token"}
		for _, says := range []error{nil, refused, &sdk.Error{Kind: sdk.KindTransient, Message: "the broker is in maintenance"}} {
			c.says = says
			got, err := r.keeper.Check(t.Context(), "one")
			if got.Version != 1 || got.Took != 120*time.Millisecond || (err == nil) != (says == nil) || says != nil && sdk.KindOf(err) != sdk.KindOf(says) {
				t.Errorf("%+v, %v, want %v", got, err, says)
			}
			rec := r.record("one")
			if req := <-c.asked; !req.Token.AccessToken.Equal(rec.Token.AccessToken) || !req.Token.RefreshToken.IsZero() || req.Account.Name != "one" {
				t.Errorf("asked about another token, or with the refresh token")
			}
			if rec.Version != 1 || rec.Health.Failures != 0 || rec.NeedsLogin() || r.broker.count() != 0 {
				t.Errorf("something follows from %v: %+v", says, rec.Health)
			}
		}
		if _, err := r.keeper.Check(t.Context(), "none"); !errors.Is(err, refresh.ErrUnknownAccount) {
			t.Errorf("an account that is not there: %v", err)
		}
		_ = g.end()
		time.Sleep(time.Hour)
		if _, err := r.keeper.Check(t.Context(), "one"); !errors.Is(err, refresh.ErrExpired) || len(c.asked) != 0 {
			t.Errorf("one that is over: %v", err)
		}
		if _, err := r.keeper.Pause(t.Context(), "one", store.Pause{Since: time.Now()}); err != nil {
			t.Fatal(err)
		}
		if _, err := r.keeper.Check(t.Context(), "one"); !errors.Is(err, refresh.ErrExpired) || !strings.Contains(err.Error(), "tokenkeeper resume one") {
			t.Errorf("one that is over and paused: %v", err)
		}
	})
}

// TestCheckThatNobodyCanMake: a provider that has no such call, or none that runs.
func TestCheckThatNobodyCanMake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		if _, err := r.keeper.Check(t.Context(), "one"); !errors.Is(err, refresh.ErrNoProcess) {
			t.Errorf("no process: %v", err)
		}
		g := r.start()
		synctest.Wait()
		if _, err := r.keeper.Check(t.Context(), "one"); !errors.Is(err, sdk.ErrUnimplemented) {
			t.Errorf("no such call: %v", err)
		}
		_ = g.end()
	})
}
