package refresh_test

import (
	"context"
	"errors"
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
		t.Logf("requests since: %d; asked %d; the stranger is still in the file: %t", r.broker.count()-before,
			r.count(event.UnknownToken), r.inFile().RefreshToken.Equal(stranger.RefreshToken))
		if r.broker.count() != before || !r.inFile().RefreshToken.Equal(stranger.RefreshToken) {
			t.Error("ours was spent and the stranger overwritten, and nobody was asked")
		}
		_ = g.end()
	})
}

// The last refresh of a login that does not slide was made; then every
// notice of the shared file, that of our own write too, makes one more.
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
		t.Logf("requests in all before: %d, in the last six minutes: %d", before, r.broker.count()-before)
		if n := r.broker.count() - before; n > 2 {
			t.Errorf("%d requests", n)
		}
		_ = g.end()
	})
}

// A login while another program has the lock plans an account whose refresh
// token was refused.
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
		_, err = r.keeper.CompleteLogin(t.Context(), "one", state, "code-one")
		t.Log(err)
		_ = release()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := r.broker.refusals() - before; n > 0 {
			t.Errorf("the refused token was sent %d more times by itself", n)
		}
		_ = g.end()
	})
}

// The file has our own refresh token with a younger access token; when that
// is refused, "the one before it" is the same.
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
		t.Logf("refusals in about two minutes: %d; state %s; needs_login told %d times", r.broker.refusals(), r.status("one").State, r.count(event.NeedsLogin))
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
			t.Log(err)
		}
		g = r.startAfterDeath(t)
		_ = g
	})
}

func (r *rig) startAfterDeath(t *testing.T) *generation {
	died := r.wall()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	done := make(chan error, 1)
	go func() { _, err := r.keeper.Refresh(ctx, "one", false); done <- err }()
	synctest.Wait()
	n := r.broker.count()
	g := r.start()
	time.Sleep(2 * time.Second)
	synctest.Wait()
	if m := r.broker.count(); m != n {
		t.Errorf("sent again %s after the process died, though nobody forced it", r.wall().Sub(died))
	}
	_ = g.end()
	<-done
	return g
}

// H2: an answer lies unread; an unforced refresh at the start of the next supervisor
// sends the same token again.
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
		t.Log(<-done)
	})
}

// Of other accounts only 32 past refresh tokens are known, and one that is not counts as newer
// if its access token ends less than an hour before ours.
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
		after := r.record("one")
		t.Logf("version %d before, now %d from %s; refusals %d; sent twice: %v; %s", before.Version, after.Version, after.Origin, r.broker.refusals(), r.broker.sentTwice(), r.status("one").State)
		if len(r.broker.sentTwice()) > 0 {
			t.Error("a token that we ourselves had spent was sent again")
		}
		_ = g.end()
	})
}
