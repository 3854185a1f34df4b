package refresh_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// asks has the rig's next Keeper ask there what destinations hold.
func (r *rig) asks(there func(context.Context, store.Record) refresh.Elsewhere) {
	r.elsewhere = there
	r.restart()
}

func foundThere(t sdk.Token) refresh.Elsewhere {
	return refresh.Elsewhere{
		Newer: &format.Document{AccessToken: t.AccessToken, RefreshToken: t.RefreshToken, IssuedAt: t.IssuedAt, Expiry: t.Expiry()},
		Where: "the file", Origin: store.OriginExternal,
	}
}

// As long as a destination may hold a newer token, ours is kept; in the last
// minute of the access token it is all that there is.
func TestDoubtWaitsForTheLastMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		r.asks(func(context.Context, store.Record) refresh.Elsewhere { return refresh.Elsewhere{Doubt: "who knows"} })
		defer r.watch()()
		g := r.start()
		time.Sleep(18*time.Minute + 50*time.Second)
		synctest.Wait()
		if n := r.broker.count(); n != 0 {
			t.Errorf("%d requests in spite of the doubt", n)
		}
		if n := r.count(event.RefreshPutOff); n != 1 {
			t.Errorf("it was told %d times, want once", n)
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if n := r.broker.count(); n != 1 {
			t.Errorf("%d requests when the access token was about to end, want 1", n)
		}
		_ = g.end()
	})
}

// A doubt costs no login: where the refresh token ends before the access token, ours is
// used before that.
func TestDoubtOutlastsNoRefreshToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigWith(t, 24*time.Hour, time.Hour, "one")
		token := r.broker.grant("one")
		token.RefreshLifetime = time.Hour
		if _, err := r.keeper.Import(t.Context(), store.Record{Account: "one", Token: token}, true); err != nil {
			t.Fatal(err)
		}
		r.asks(func(context.Context, store.Record) refresh.Elsewhere { return refresh.Elsewhere{Doubt: "who knows"} })
		defer r.watch()()
		g := r.start()
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := r.broker.count(); n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
		if s := r.status("one"); s.State != refresh.Valid {
			t.Errorf("state %s", s.State)
		}
		_ = g.end()
	})
}

// The broker refuses ours, and a destination holds one that nobody here knows:
// that one is tried, and is the account's from then on.
func TestUnknownTokenIsTriedAfterARefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		living := r.broker.grant("one") // another login has ended ours
		r.asks(func(_ context.Context, rec store.Record) refresh.Elsewhere {
			if rec.NeedsLogin() {
				return foundThere(living)
			}
			return refresh.Elsewhere{}
		})
		defer r.watch()()
		g := r.start()
		time.Sleep(40 * time.Minute)
		synctest.Wait()
		if s := r.status("one"); s.State != refresh.Valid || s.Record.Origin != store.OriginRefresh || !r.broker.holds("one", s.Record.Token.RefreshToken) {
			t.Errorf("state %s, origin %s", s.State, s.Record.Origin)
		}
		if twice := r.broker.sentTwice(); len(twice) > 0 {
			t.Errorf("sent twice: %v", twice)
		}
		if r.count(event.NeedsLogin) != 0 || r.count(event.RivalRefresher) != 1 {
			t.Error("a login was asked for, or the other program is not told of")
		}
		r.met(event.RivalRefresher)
		_ = g.end()
	})
}

// What was found is dead: the token that it took the place of was kept, over a
// restart too, and goes on.
func TestARefusedFindIsTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		ours := r.record("one").Token.RefreshToken.Fingerprint()
		dead := sdk.Token{AccessToken: sdk.NewSecret("a"), RefreshToken: sdk.NewSecret("dead"), IssuedAt: r.wall(), Lifetime: time.Hour}
		r.asks(func(_ context.Context, rec store.Record) refresh.Elsewhere {
			if rec.Token.RefreshToken.Fingerprint() == ours && rec.Version == 1 {
				return foundThere(dead)
			}
			return refresh.Elsewhere{}
		})
		g := r.start()
		r.keeper.Touch("one")
		synctest.Wait()
		if rec := r.record("one"); rec.Version != 2 || len(rec.Before) != 1 || rec.Before[0].Token.RefreshToken.Fingerprint() != ours {
			t.Fatalf("version %d, which keeps what was before: %t", rec.Version, len(rec.Before) > 0)
		}
		_ = g.end()
		r.restart()
		g = r.start()
		time.Sleep(time.Hour) // the dead one is refreshed before its end
		synctest.Wait()
		told := r.keeper.Facts()
		if len(told) != 1 || told[0].Type != event.FoundRefused || told[0].Account != "one" || !strings.Contains(told[0].What, "came from the file,") {
			t.Errorf("people hear of %+v", told)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		s := r.status("one")
		if s.State != refresh.Valid || len(s.Record.Before) > 0 || !r.broker.holds("one", s.Record.Token.RefreshToken) {
			t.Errorf("state %s, origin %s", s.State, s.Record.Origin)
		}
		if n := r.broker.refusals(); n != 1 {
			t.Errorf("%d refusals, want that of the dead one", n)
		}
		_ = g.end()
	})
}

// watchedCommits looks whenever a record is about to be stored.
type watchedCommits struct {
	store.Store
	look func()
}

func (w *watchedCommits) Commit(ctx context.Context, rec store.Record) error {
	w.look()
	return w.Store.Commit(ctx, rec)
}

// While another token is looked for in the place of a refused one nobody is told that
// a login is needed, and a login that follows ends what was told.
func TestARefusedFindIsUndecidedBeforeTheOneBeforeItIsTried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		dead := sdk.Token{AccessToken: sdk.NewSecret("a"), RefreshToken: sdk.NewSecret("dead"), IssuedAt: r.wall(), Lifetime: time.Hour}
		r.asks(func(_ context.Context, rec store.Record) refresh.Elsewhere {
			if rec.Version == 1 {
				return foundThere(dead)
			}
			return refresh.Elsewhere{}
		})
		var seen []refresh.Status
		r.store = &watchedCommits{r.store, func() { seen = append(seen, r.status("one")) }}
		r.restart()
		g := r.start()
		r.keeper.Touch("one")
		time.Sleep(time.Hour) // the dead one is refreshed before its end
		synctest.Wait()
		refused := 0
		for _, s := range seen {
			if s.Record.NeedsLogin() {
				refused++
				if !s.Undecided {
					t.Error("it is told to need a login while the token before it was not tried")
				}
			}
		}
		if refused == 0 {
			t.Error("nothing was refused: this proves nothing")
		}
		if s := r.status("one"); s.Undecided || s.State != refresh.Valid {
			t.Errorf("afterwards: %s, undecided %t", s.State, s.Undecided)
		}
		r.met(event.FoundRefused)
		if _, err := r.keeper.CompleteLogin(t.Context(), "one", r.beginLogin("one"), "code-one"); err != nil {
			t.Error(err)
		}
		r.met()
		_ = g.end()
	})
}

// What is gone back to came from the broker: when that is refused too, nobody is
// sent to where the other one was found.
func TestWhatIsGoneBackToWasFoundNowhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		dead := sdk.Token{AccessToken: sdk.NewSecret("a"), RefreshToken: sdk.NewSecret("dead"), IssuedAt: r.wall(), Lifetime: time.Hour}
		r.asks(func(_ context.Context, rec store.Record) refresh.Elsewhere {
			if rec.Version == 2 {
				return foundThere(dead)
			}
			return refresh.Elsewhere{}
		})
		defer r.watch()()
		g := r.start()
		if _, err := r.keeper.Refresh(t.Context(), "one", true); err != nil {
			t.Fatal(err)
		}
		r.keeper.Touch("one")
		synctest.Wait()
		if rec := r.record("one"); rec.FoundIn != "the file" || rec.Version != 3 || rec.Before[0].FoundIn != "" {
			t.Errorf("found in %q, before it %q", rec.FoundIn, rec.Before[0].FoundIn)
		}
		r.broker.grant("one") // another login has ended ours
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		s := r.status("one")
		if s.State != refresh.NeedsLogin || r.broker.refusals() != 2 {
			t.Errorf("state %s after %d refusals", s.State, r.broker.refusals())
		}
		if said := s.Record.Health.LastError; strings.Contains(said, "came from") {
			t.Errorf("people are told: %s", said)
		}
		_ = g.end()
	})
}

// A destination that never answers holds up a refresh for a minute at most, and
// no account longer than its access token lives.
func TestConsultIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct{ passed, most time.Duration }{
			{15 * time.Minute, time.Minute}, {18*time.Minute + 30*time.Second, 30 * time.Second}, {19*time.Minute + 50*time.Second, 2 * time.Second}, {time.Hour, time.Minute},
		} {
			r := newRig(t, 20*time.Minute, "one")
			time.Sleep(c.passed)
			r.asks(func(ctx context.Context, _ store.Record) refresh.Elsewhere {
				<-ctx.Done()
				return refresh.Elsewhere{}
			})
			began := time.Now()
			g := r.start()
			if _, err := r.keeper.Refresh(t.Context(), "one", true); err != nil {
				t.Error(err)
			}
			if took := time.Since(began); took > c.most+time.Second || strings.Contains(string(r.status("one").State), "expired") {
				t.Errorf("%s after its issue: it took %s, want %s at most", c.passed, took, c.most)
			}
			_ = g.end()
		}
	})
}

// Programs that share the file wait for none of our destinations.
func TestTheSharedFileIsNotLockedWhileDestinationsAreAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSharedRig(t)
		r.botWrites(r.record("one").Token, true)
		var asked, longest time.Duration
		r.asks(func(ctx context.Context, rec store.Record) refresh.Elsewhere {
			began := time.Now()
			release, err := r.bot.Lock(ctx)
			if err == nil {
				_ = release()
			}
			longest = max(longest, time.Since(began))
			<-ctx.Done()
			asked = max(asked, time.Since(began))
			if rec.NeedsLogin() && time.Since(began) > 5*time.Second {
				t.Errorf("asked for %s while the file was locked", time.Since(began))
			}
			return refresh.Elsewhere{}
		})
		g := r.start()
		time.Sleep(17 * time.Minute)
		synctest.Wait()
		if v := r.record("one").Version; v != 2 || asked < 30*time.Second || longest > time.Second {
			t.Errorf("version %d, destinations were asked for %s, and a bot waited for %s", v, asked, longest)
		}
		r.broker.grant("one") // now a refusal, after which they are asked while it is locked
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		if s := r.status("one"); s.State != refresh.NeedsLogin {
			t.Error(s.State)
		}
		_ = g.end()
	})
}

// What they have said ahead is taken under the lock.
func TestWhatDestinationsSayAheadIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSharedRig(t)
		r.botWrites(r.record("one").Token, true)
		living := r.broker.grant("one")
		r.asks(func(_ context.Context, rec store.Record) refresh.Elsewhere {
			if rec.Version == 1 {
				return foundThere(living)
			}
			return refresh.Elsewhere{}
		})
		g := r.start()
		time.Sleep(16 * time.Minute)
		synctest.Wait()
		if rec := r.record("one"); rec.Version != 3 || !r.broker.holds("one", rec.Token.RefreshToken) || r.broker.refusals() > 0 {
			t.Errorf("version %d from %s, %d refusals", rec.Version, rec.Origin, r.broker.refusals())
		}
		_ = g.end()
	})
}

// The local times in a sink's file can't be right: that is said until the file has our
// own again.
func TestAWrongZoneElsewhereIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		fault := "its local times can't be right"
		r.asks(func(_ context.Context, rec store.Record) refresh.Elsewhere {
			switch rec.Version {
			case 2: // nobody knows
				return refresh.Elsewhere{Unheard: true}
			case 3:
				return refresh.Elsewhere{}
			}
			return refresh.Elsewhere{Zone: fault, ZoneSink: "cache"}
		})
		g := r.start()
		time.Sleep(16 * time.Minute)
		synctest.Wait()
		if s := r.status("one"); s.Zone != fault || s.ZoneSink != "cache" {
			t.Errorf("%q of sink %q", s.Zone, s.ZoneSink)
		}
		time.Sleep(16 * time.Minute)
		synctest.Wait()
		if s := r.status("one"); s.Zone != fault {
			t.Errorf("while it can't be asked: %q", s.Zone)
		}
		time.Sleep(16 * time.Minute)
		synctest.Wait()
		if s := r.status("one"); s.Zone != "" {
			t.Errorf("afterwards: %q", s.Zone)
		}
		_ = g.end()
	})
}
