package refresh_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// Codes that are none are spent up to the one before the broker locks the person out;
// that holds over restarts, and for an account without a token, too.
func TestFailedLoginsHoldOverRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute)
		r.broker.limits = sdk.Limits{FailedLoginsPerHour: 3, LockedOutFor: 4 * time.Hour}
		r.accounts = []refresh.Account{{Account: sdk.Account{Name: "new"}, Timeout: 30 * time.Second, MaxFailures: 5}}
		r.restart()
		g := r.start()
		synctest.Wait()
		for range 2 {
			if _, err := r.keeper.CompleteLogin(t.Context(), "new", r.beginLogin("new"), "wrong"); !errors.Is(err, sdk.ErrInvalidGrant) {
				t.Fatal(err)
			}
			g = r.anew(g)
			synctest.Wait()
			time.Sleep(5 * time.Minute)
		}
		_, err := r.keeper.BeginLogin(t.Context(), "new", "", event.Caller{})
		if !errors.Is(err, refresh.ErrLimit) || !strings.Contains(err.Error(), "2 logins have failed since ") || !strings.Contains(err.Error(), "3 within an hour lock the account out") {
			t.Fatalf("a third one: %v", err)
		}
		time.Sleep(time.Hour)
		state := r.beginLogin("new")
		for range 2 {
			if _, err := r.keeper.CompleteLogin(t.Context(), "new", state, "wrong"); !errors.Is(err, sdk.ErrInvalidGrant) {
				t.Fatal(err)
			}
			if state = ""; len(r.broker.failedAt) == 3 {
				state = r.beginLogin("new")
			}
		}
		if n := mostInAnHour(r.broker.failedAt); n != 2 {
			t.Errorf("%d failed in an hour", n)
		}
		time.Sleep(61 * time.Minute)
		if rec, err := r.keeper.CompleteLogin(t.Context(), "new", r.beginLogin("new"), "code-new"); err != nil || rec.Version != 1 {
			t.Error(err)
		}
		if err := g.end(); err != nil {
			t.Error(err)
		}
	})
}

// limitedMint is a broker that locks out who presents a wrong key too often.
type limitedMint struct{ *mint }

func (b limitedMint) Describe(ctx context.Context) (sdk.Description, error) {
	d, err := b.mint.Describe(ctx)
	d.Limits = sdk.Limits{FailedLoginsPerHour: 3, LockedOutFor: time.Hour}
	return d, err
}

// A mint that is refused is a login that failed, for an account without a token, too:
// before the one that could lock it out nothing is sent, by itself or by a person.
func TestRefusedMintsStopBeforeTheLockout(t *testing.T) {
	for _, refusal := range []error{sdk.ErrInvalidClient, sdk.ErrInvalidGrant} {
		synctest.Test(t, func(t *testing.T) {
			b := &mint{minter: newMinter(time.Hour, sdk.RepeatLimited)}
			refused := func(*spool.Slot) error { return refusal }
			b.next(refused, refused, nil)
			r := newMintRig(t, limitedMint{b}, time.Hour)
			g := r.start()
			synctest.Wait()
			if errors.Is(refusal, sdk.ErrInvalidGrant) { // it is not presented again by itself
				if _, err := r.keeper.Refresh(t.Context(), "main", true); !errors.Is(err, sdk.ErrInvalidGrant) {
					t.Fatal(err)
				}
			}
			time.Sleep(30 * time.Minute)
			g = r.anew(g)
			time.Sleep(25 * time.Minute)
			synctest.Wait()
			if n := b.requests(); n != 2 {
				t.Fatalf("%d requests", n)
			}
			_, err := r.keeper.Refresh(t.Context(), "main", true)
			if !errors.Is(err, refresh.ErrLimit) || !strings.Contains(err.Error(), "2 logins have failed since 2000-01-01 00:00 UTC, and 3 within an hour lock the account out") {
				t.Errorf("a person insists: %v", err)
			}
			if s := r.status("main"); errors.Is(refusal, sdk.ErrInvalidClient) && (s.Waiting != promise.Limit || !strings.Contains(s.WaitingText, "the next is safe 2000-01-01 01:0")) {
				t.Errorf("it waits: %q, %s", s.Waiting, s.WaitingText)
			}
			time.Sleep(7 * time.Minute)
			if r.status("main").Record.Version == 0 { // a key that was refused is not presented by itself
				if _, err := r.keeper.Refresh(t.Context(), "main", true); err != nil {
					t.Error(err)
				}
			}
			if rec := r.record("main"); rec.Version != 1 || b.requests() != 3 {
				t.Errorf("version %d after %d requests", rec.Version, b.requests())
			}
			if err := g.end(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A code that nobody approved, or that was declined, is no failed login at the broker
// (RFC 8628, section 3.5); a wrong client is one.
func TestUnapprovedCodeIsNoFailedLogin(t *testing.T) {
	for code, failed := range map[string]bool{"expired_token": false, "access_denied": false, "invalid_grant": true} {
		synctest.Test(t, func(t *testing.T) {
			r, guide := guidedRig(t, []string{"one"}, sdk.LoginDevice)
			r.broker.limits = sdk.Limits{RequestsPerHour: 10, FailedLoginsPerHour: 2}
			guide.say(&sdk.Error{Kind: sdk.KindInvalidGrant, Message: code, OAuthError: code, HTTPStatus: 400})
			g := r.start()
			synctest.Wait()
			if _, err := r.await(r.begin("one", "")); !errors.Is(err, sdk.ErrInvalidGrant) {
				t.Fatal(err)
			}
			for range 2 {
				if _, err := r.keeper.BeginLogin(t.Context(), "one", "", event.Caller{}); errors.Is(err, refresh.ErrLimit) != failed {
					t.Errorf("after %s: %v", code, err)
				}
				g = r.anew(g)
				synctest.Wait()
			}
			_ = g.end()
		})
	}
}

// A login that was announced anew for another spool, and then refused, is one request,
// and a failed login.
func TestRefusalInAnotherSpoolCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLimitRig(t, 20*time.Minute, sdk.Limits{FailedLoginsPerHour: 3, LockedOutFor: time.Hour})
		g := r.start()
		synctest.Wait()
		for n := range 2 {
			state := r.beginLogin("one")
			if err := os.RemoveAll(r.spoolDir()); err != nil {
				t.Fatal(err)
			}
			if _, err := r.keeper.CompleteLogin(t.Context(), "one", state, "wrong"); !errors.Is(err, sdk.ErrInvalidGrant) {
				t.Fatal(err)
			}
			all, err := r.store.Requests(t.Context(), "one")
			if err != nil || len(all) != n+1 || len(r.broker.failedAt) != n+1 {
				t.Fatalf("the store has %+v (%v); %d have failed at the broker", all, err, len(r.broker.failedAt))
			}
			for _, q := range all {
				if !q.Failed {
					t.Errorf("%+v", q)
				}
			}
		}
		if _, err := r.keeper.BeginLogin(t.Context(), "one", "", event.Caller{}); !errors.Is(err, refresh.ErrLimit) {
			t.Errorf("a third one: %v", err)
		}
		_ = g.end()
	})
}
