package refresh_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sharedfile"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// A force that met no question does not answer one that comes days later.
func TestAPersonInsistsOnlyOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSharedRig(t)
		defer r.watch()()
		r.botWrites(r.record("one").Token, true)
		g := r.start()
		time.Sleep(time.Minute)
		if _, err := r.keeper.Refresh(t.Context(), "one", true); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		stranger := r.record("one").Token
		stranger.RefreshToken, stranger.AccessToken = sdk.NewSecret("of another login"), sdk.NewSecret("stranger")
		stranger.IssuedAt = stranger.IssuedAt.Add(-9 * time.Hour)
		before := r.broker.count()
		r.botWrites(stranger, true) // just before it is due, or where changes are not seen at once
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		if r.broker.count() != before || !r.inFile().RefreshToken.Equal(stranger.RefreshToken) {
			t.Error("ours was spent and the stranger overwritten, and nobody was asked")
		}
		_ = g.end()
	})
}

// After the last refresh of a login that does not slide no notice of the shared
// file makes one more, not that of our own write either.
func TestLastRefreshIsFollowedByNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSharedRig(t)
		r.broker.fixed, r.broker.policyLife = true, 4*time.Hour
		file := r.accounts[0].Shared
		r.accounts[0].Shared = watchedFile{file, func() { time.AfterFunc(20*time.Millisecond, func() { r.keeper.Touch("one") }) }}
		r.restart()
		defer r.watch()()
		g := r.start()
		synctest.Wait()
		if _, err := r.keeper.CompleteLogin(t.Context(), "one", r.beginLogin("one"), "code-one"); err != nil {
			t.Fatal(err)
		}
		end := r.record("one").RefreshExpiry
		time.Sleep(end.Sub(r.wall()) - 6*time.Minute)
		synctest.Wait()
		before := r.broker.count()
		r.broker.mu.Lock()
		r.broker.takes = 2 * time.Second
		r.broker.mu.Unlock()
		time.Sleep(6 * time.Minute)
		synctest.Wait()
		if n := r.broker.count() - before; n != 1 {
			t.Errorf("%d requests, want the last one", n)
		}
		_ = g.end()
	})
}

// However early an account is to be refreshed, its last token is good until its login
// ends, and nobody takes that for a fault.
func TestTheLastTokenOutlastsItsLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		r.broker.fixed, r.broker.policyLife = true, 4*time.Hour
		r.accounts[0].BeforeExpiry = 2 * time.Hour
		r.restart()
		defer r.watch()()
		g := r.start()
		synctest.Wait()
		if _, err := r.keeper.CompleteLogin(t.Context(), "one", r.beginLogin("one"), "code-one"); err != nil {
			t.Fatal(err)
		}
		end := r.record("one").RefreshExpiry
		for now := r.wall(); now.Before(end); now = r.wall() {
			time.Sleep(min(30*time.Second, end.Sub(now)))
			r.keeper.Look()
			synctest.Wait()
			if token := r.record("one").Token; !token.Valid(r.wall()) && r.wall().Before(end) {
				t.Fatalf("%s before the end of the login there is no token", end.Sub(r.wall()))
			}
		}
		if n := r.count(event.PlanMended); n > 0 {
			t.Errorf("told %d times that the plan was wrong", n)
		}
		_ = g.end()
	})
}

// A login that fails because another program has the lock leaves an account
// alone whose refresh token was refused.
func TestRefusedTokenIsNotSentAfterALoginThatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSharedRig(t)
		defer r.watch()()
		r.botWrites(r.record("one").Token, true)
		g := r.start()
		synctest.Wait()
		r.broker.grant("one") // another login has ended ours
		time.Sleep(16 * time.Minute)
		synctest.Wait()
		if s := r.status("one"); s.State != refresh.NeedsLogin {
			t.Fatal(s.State)
		}
		before := r.broker.refusals()
		state := r.beginLogin("one")
		release, err := r.bot.Lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err = r.keeper.CompleteLogin(t.Context(), "one", state, "code-one"); err == nil {
			t.Error("a login was completed without the lock")
		}
		_ = release()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := r.broker.refusals() - before; n > 0 {
			t.Errorf("the refused token was sent %d more times by itself", n)
		}
		_ = g.end()
	})
}

// A file may hold our own refresh token with a younger access token. When that
// refresh token is refused, it is not taken for the one before it.
func TestRefusedTokenIsNotGoneBackTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSharedRig(t)
		defer r.watch()()
		g := r.start()
		time.Sleep(5 * time.Minute)
		same := r.record("one").Token
		same.AccessToken, same.IssuedAt = sdk.NewSecret("younger"), r.wall()
		r.botWrites(same, true)
		r.keeper.Touch("one")
		synctest.Wait()
		if v := r.record("one").Version; v != 2 {
			t.Fatal(v)
		}
		r.broker.grant("one") // ours is dead
		r.broker.mu.Lock()
		r.broker.takes = time.Second
		r.broker.mu.Unlock()
		time.Sleep(17 * time.Minute)
		synctest.Wait()
		if state, told := r.status("one").State, r.count(event.NeedsLogin); state != refresh.NeedsLogin || told != 1 || r.broker.refusals() != 1 {
			t.Errorf("%d refusals; state %s, told %d times", r.broker.refusals(), state, told)
		}
		if twice := r.broker.sentTwice(); len(twice) > 0 {
			t.Errorf("a refused token was sent again: %v; version %d", twice, r.record("one").Version)
		}
		_ = g.end()
	})
}

// Another account's token comes into this account's shared file.
func TestAnotherAccountsTokenInTheFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSharedRig(t)
		defer r.watch()()
		r.accounts = append(r.accounts, refresh.Account{Account: sdk.Account{Name: "two"}, Timeout: 30 * time.Second, MaxFailures: 5})
		r.restart()
		time.Sleep(time.Minute)
		if _, err := r.keeper.Import(t.Context(), store.Record{Account: "two", Token: r.broker.grant("two")}, false); err != nil {
			t.Fatal(err)
		}
		r.botWrites(r.record("one").Token, true)
		g := r.start()
		time.Sleep(time.Minute)
		r.botWrites(r.record("two").Token, true) // a person copies the wrong file
		r.keeper.Touch("one")
		synctest.Wait()
		one, two := r.record("one"), r.record("two")
		if one.Token.RefreshToken.Equal(two.Token.RefreshToken) {
			t.Errorf("account one is served account two's token, as its version %d", one.Version)
		}
		_ = g.end()
	})
}

// A refresh that nobody forced does not send an ambiguous token before its time.
func TestUnforcedRefreshWaitsForTheReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		defer r.watch()()
		g := r.start()
		time.Sleep(time.Minute)
		// one failure before, so that a refresh without force is made
		r.broker.next("one", fault{refuse: &sdk.Error{Kind: sdk.KindTransient, Message: "503", HTTPStatus: 503}},
			fault{die: sent, kill: func() { g.kill() }})
		time.Sleep(14*time.Minute + time.Second)
		synctest.Wait()
		time.Sleep(3 * time.Second)
		if err := g.died(); !errors.Is(err, sdk.ErrConnection) {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		done := make(chan error, 1)
		go func() { _, err := r.keeper.Refresh(ctx, "one", false); done <- err }()
		synctest.Wait()
		before := r.broker.count()
		g = r.start()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n := r.broker.count(); n != before {
			t.Errorf("%d requests more before the replay's time, though nobody forced them", n-before)
		}
		_ = g.end()
		if err := <-done; err == nil || !strings.Contains(err.Error(), "tokenkeeper refresh one --force") {
			t.Errorf("told: %v", err)
		}
	})
}

// While an answer lies unread, a refresh that nobody forced does not send the same
// token again at the start of the next supervisor.
func TestUnforcedRefreshLeavesAnUnreadAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		g := r.start()
		r.broker.next("one", fault{refuse: &sdk.Error{Kind: sdk.KindAmbiguous, Message: "unread", Unread: true, HTTPStatus: 200}})
		time.Sleep(17 * time.Minute)
		synctest.Wait()
		if n := r.broker.count(); n != 1 {
			t.Fatal(n)
		}
		_ = g.end()
		time.Sleep(4 * time.Minute)
		r.restart()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		done := make(chan error, 1)
		go func() { _, err := r.keeper.Refresh(ctx, "one", false); done <- err }()
		synctest.Wait()
		g = r.start()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if n := r.broker.count(); n != 1 {
			t.Errorf("%d requests: sent again past an unread answer, without force", n)
		}
		_ = g.end()
		if err := <-done; err == nil || !strings.Contains(err.Error(), "tokenkeeper refresh one --force") {
			t.Errorf("told: %v", err)
		}
	})
}

// A token of our own that a bot kept is known as ours after more than the 32 newest,
// and not taken for one that is newer.
func TestOurOwnOldTokenIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, time.Minute, "one")
		path := t.TempDir() + "/tokens.json"
		f, err := sharedfile.New(sharedfile.Config{Path: path, Format: format.SaxoCache, Location: time.UTC})
		if err != nil {
			t.Fatal(err)
		}
		r.accounts[0].Shared = f
		r.restart()
		s := &sharedRig{rig: r, path: path, bot: f}
		defer r.watch()()
		s.botWrites(r.record("one").Token, true)
		old := r.record("one").Token
		g := r.start()
		time.Sleep(45 * time.Minute)
		synctest.Wait()
		before := r.record("one")
		s.botWrites(old, true) // a bot that kept it
		r.keeper.Touch("one")
		synctest.Wait()
		time.Sleep(time.Minute)
		synctest.Wait()
		if after := r.record("one"); after.Origin != store.OriginRefresh {
			t.Errorf("version %d after %d is of origin %s: the old token was taken for a new one", after.Version, before.Version, after.Origin)
		}
		if len(r.broker.sentTwice()) > 0 {
			t.Error("a token that we ourselves had spent was sent again")
		}
		_ = g.end()
	})
}
