package refresh_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// fixedRig is a broker whose logins end a week after they were made.
func fixedRig(t *testing.T) (*rig, *generation) {
	t.Helper()
	r := newRig(t, 20*time.Minute, "one")
	r.broker.policyLife, r.broker.fixed = 7*24*time.Hour, true
	g := r.start()
	synctest.Wait()
	return r, g
}

// A person says afterwards when the login was made: its end is known from then
// on, over refreshes and restarts, and nothing else has changed.
func TestLoginTimeIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, g := fixedRig(t)
		defer r.watch()()
		before := r.status("one")
		if before.LoginEnd != refresh.EndUnknown || !before.Record.RefreshExpiry.IsZero() {
			t.Fatalf("the end of the login is known: %+v", before)
		}
		at := r.wall().Add(-48 * time.Hour)
		rec, err := r.keeper.TellLogin(t.Context(), "one", before.Record.Token.RefreshToken, at)
		if err != nil {
			t.Fatal(err)
		}
		want, end := before.Record, at.Add(7*24*time.Hour)
		if !rec.RefreshExpiry.Equal(end) || rec.Version != want.Version+1 || !rec.Token.AccessToken.Equal(want.Token.AccessToken) ||
			!rec.Token.RefreshToken.Equal(want.Token.RefreshToken) || rec.Origin != want.Origin || rec.Grant != want.Grant {
			t.Errorf("got %+v\nof %+v", rec, want)
		}
		synctest.Wait()
		if r.woken() != 2 || r.count(event.LoginTold) != 1 {
			t.Errorf("%d wakes, %d events", r.woken(), r.count(event.LoginTold))
		}
		time.Sleep(time.Hour) // of refreshes
		if err := g.end(); err != nil {
			t.Fatal(err)
		}
		r.restart()
		g = r.start()
		synctest.Wait()
		if s := r.status("one"); s.Record.Version < 4 || !s.Record.RefreshExpiry.Equal(end) || s.LoginEnd != refresh.EndKnown {
			t.Errorf("afterwards: %+v", s)
		}
		_ = g.end()
	})
}

func TestLoginTimeThatCantBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, g := fixedRig(t)
		before := r.record("one")
		for name, c := range map[string]struct {
			ago    time.Duration
			force  bool
			refuse bool
		}{
			"now": {}, "yesterday": {ago: 24 * time.Hour},
			"tomorrow":   {ago: -24 * time.Hour, refuse: true},
			"over":       {ago: 7 * 24 * time.Hour, refuse: true},
			"insisted":   {ago: 8 * 24 * time.Hour, force: true},
			"impossible": {ago: 100 * 365 * 24 * time.Hour, force: true, refuse: true},
		} {
			err := r.keeper.CheckLoginTime("one", r.wall().Add(-c.ago), c.force)
			if errors.Is(err, refresh.ErrLoginTime) != c.refuse || (err != nil) != c.refuse {
				t.Errorf("%s: %v", name, err)
			}
		}
		for want, tell := range map[error]func() error{
			refresh.ErrAnotherToken: func() error {
				_, err := r.keeper.TellLogin(t.Context(), "one", sdk.NewSecret("another"), r.wall())
				return err
			},
			refresh.ErrUnknownAccount: func() error {
				_, err := r.keeper.TellLogin(t.Context(), "nobody", sdk.Secret{}, r.wall())
				return err
			},
		} {
			if err := tell(); !errors.Is(err, want) {
				t.Errorf("got %v, want %v", err, want)
			}
		}
		if after := r.record("one"); after.Version != before.Version {
			t.Errorf("it has become version %d", after.Version)
		}
		_ = g.end()
	})
}

// While nobody knows what became of an attempt, the version on which it was made
// stays.
func TestLoginTimeWaitsForAnOpenAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, g := fixedRig(t)
		_ = g.end()
		in := store.Intent{Account: "one", Provider: "fake", Attempt: "a", Kind: "refresh", Version: 1, At: r.wall()}
		if err := r.store.Intend(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		r.restart()
		if _, err := r.keeper.TellLogin(t.Context(), "one", sdk.Secret{}, r.wall()); !errors.Is(err, refresh.ErrUnsettled) {
			t.Errorf("got %v", err)
		}
		if got, open, err := r.store.Intent(t.Context(), "one"); err != nil || !open || got.Attempt != "a" || r.record("one").Version != 1 {
			t.Errorf("the attempt stands: %t, %v, %v", open, got, err)
		}
	})
}

// The login that a token comes from was made before it was refreshed.
func TestLoginTimeAfterARefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, g := fixedRig(t)
		login := r.wall()
		time.Sleep(time.Hour + time.Minute)
		synctest.Wait()
		before := r.record("one")
		if before.Origin != store.OriginRefresh {
			t.Fatalf("the token comes from %s", before.Origin)
		}
		if _, err := r.keeper.TellLogin(t.Context(), "one", sdk.Secret{}, r.wall()); !errors.Is(err, refresh.ErrLoginTime) {
			t.Errorf("a login after the refresh: %v", err)
		}
		if after := r.record("one"); after.Version != before.Version {
			t.Errorf("it has become version %d", after.Version)
		}
		if _, err := r.keeper.TellLogin(t.Context(), "one", sdk.Secret{}, login); err != nil {
			t.Errorf("the login before it: %v", err)
		}
		_ = g.end()
	})
}

// A program that shares the file sets the time of the login anew at each refresh:
// of the same refresh token, what a person has said is not undone by it. Where the
// broker replaces that, it is likely the same login, of which people hear in time.
func TestLoginTimeThatIsCertainStays(t *testing.T) {
	const week = 7 * 24 * time.Hour
	for name, c := range map[string]struct {
		told                    time.Duration // ago; 0: nobody has said when
		another, keeps, refused bool
		stays, certain          bool
	}{
		"the same refresh token":                   {told: 48 * time.Hour, stays: true, certain: true},
		"the same, and nobody has said when":       {},
		"another, where the broker replaces it":    {told: 48 * time.Hour, another: true, stays: true},
		"another, where the broker leaves it":      {told: 48 * time.Hour, another: true, keeps: true},
		"another, after the login had ended":       {told: week - time.Minute, another: true},
		"another, and the broker has refused ours": {told: 48 * time.Hour, another: true, refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newSharedRigOf(t, format.Schwab)
				r.broker.policyLife, r.broker.fixed, r.broker.keeps = week, true, c.keeps
				g := r.start()
				synctest.Wait()
				said := r.wall().Add(-c.told).Truncate(time.Second)
				if c.told > 0 {
					if _, err := r.keeper.TellLogin(t.Context(), "one", sdk.Secret{}, said); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(10 * time.Minute)
				now := r.wall().Truncate(time.Second)
				d := format.Document{
					AccessToken: sdk.NewSecret("theirs"), RefreshToken: r.record("one").Token.RefreshToken,
					IssuedAt: now, Expiry: now.Add(20 * time.Minute), LoginAt: now,
				}
				if c.another {
					d.RefreshToken = r.broker.grant("one").RefreshToken
				}
				if c.refused {
					_, _ = r.keeper.Refresh(t.Context(), "one", true)
				}
				if err := r.bot.Write(d); err != nil {
					t.Fatal(err)
				}
				r.keeper.Touch("one")
				synctest.Wait()
				rec, want := r.record("one"), now
				if c.stays {
					want = said
				}
				if !rec.Token.AccessToken.Equal(d.AccessToken) || !rec.LoginAt.Equal(want) || rec.LoginUncertain == c.certain ||
					!rec.RefreshExpiry.Equal(want.Add(week)) {
					t.Errorf("the login was %v (uncertain: %t, ends %v), want %v", rec.LoginAt, rec.LoginUncertain, rec.RefreshExpiry, want)
				}
				_ = g.end()
			})
		})
	}
}

// It stays however often the other program refreshes.
func TestLoginTimeStaysOverManyRefreshesElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSharedRigOf(t, format.Schwab)
		r.broker.policyLife, r.broker.fixed = 7*24*time.Hour, true
		g := r.start()
		synctest.Wait()
		said := r.wall().Add(-48 * time.Hour).Truncate(time.Second)
		if _, err := r.keeper.TellLogin(t.Context(), "one", sdk.Secret{}, said); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			time.Sleep(10 * time.Minute)
			now, grant := r.wall().Truncate(time.Second), r.broker.grant("one")
			if err := r.bot.Write(format.Document{
				AccessToken: grant.AccessToken, RefreshToken: grant.RefreshToken,
				IssuedAt: now, Expiry: now.Add(20 * time.Minute), LoginAt: now,
			}); err != nil {
				t.Fatal(err)
			}
			r.keeper.Touch("one")
			synctest.Wait()
			if rec := r.record("one"); !rec.Token.RefreshToken.Equal(grant.RefreshToken) || !rec.LoginAt.Equal(said) || !rec.LoginUncertain {
				t.Fatalf("the login was %v (uncertain: %t), want %v", rec.LoginAt, rec.LoginUncertain, said)
			}
		}
		_ = g.end()
	})
}

// The same where a file is imported by force.
func TestLoginTimeThatIsCertainStaysAtAnImport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, g := fixedRig(t)
		said := r.wall().Add(-48 * time.Hour)
		rec, err := r.keeper.TellLogin(t.Context(), "one", sdk.Secret{}, said)
		if err != nil {
			t.Fatal(err)
		}
		file := store.Record{Account: "one", Token: rec.Token, LoginAt: r.wall(), LoginUncertain: true}
		if rec, err = r.keeper.Import(t.Context(), file, true); err != nil || !rec.LoginAt.Equal(said) || rec.LoginUncertain {
			t.Errorf("an uncertain time: %v, %t, %v", rec.LoginAt, rec.LoginUncertain, err)
		}
		file.LoginUncertain = false
		if rec, err = r.keeper.Import(t.Context(), file, true); err != nil || !rec.LoginAt.Equal(file.LoginAt) {
			t.Errorf("a certain one: %v, %v", rec.LoginAt, err)
		}
		_ = g.end()
	})
}

// A file tells of a login that would have ended last week, and the broker refreshes its
// token all the same: that was another login's time, and nobody knows this one's. It
// does not come back with the next file that tells it.
func TestLoginTimeThatTheBrokerHasOutlived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, g := fixedRig(t)
		defer r.watch()()
		lastWeek := r.wall().Add(-8 * 24 * time.Hour)
		file := store.Record{Account: "one", Token: r.record("one").Token, LoginAt: lastWeek, LoginUncertain: true}
		rec, err := r.keeper.Import(t.Context(), file, true)
		if err != nil || !rec.RefreshExpiry.Equal(lastWeek.Add(7*24*time.Hour)) {
			t.Fatalf("imported: ends %v, %v", rec.RefreshExpiry, err)
		}
		unknown := func(when string) {
			t.Helper()
			s := r.status("one")
			if s.State != refresh.Valid || !s.Record.LoginAt.IsZero() || !s.Record.RefreshExpiry.IsZero() || s.LoginEnd != refresh.EndUnknown {
				t.Errorf("%s: state %s, login of %v ends %v (%d)", when, s.State, s.Record.LoginAt, s.Record.RefreshExpiry, s.LoginEnd)
			}
		}
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		unknown("after a refresh")
		file.Token = r.record("one").Token
		if _, err := r.keeper.Import(t.Context(), file, true); err != nil {
			t.Fatal(err)
		}
		unknown("after another import")
		_ = g.end()
	})
}

// What a person has said, or our own login was, is doubted and not forgotten: the clock
// may run ahead.
func TestLoginTimeThatIsCertainIsDoubted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, g := fixedRig(t)
		lastWeek := r.wall().Add(-8 * 24 * time.Hour)
		file := store.Record{Account: "one", Token: r.record("one").Token, LoginAt: lastWeek}
		if _, err := r.keeper.Import(t.Context(), file, true); err != nil {
			t.Fatal(err)
		}
		if _, err := r.keeper.Refresh(t.Context(), "one", true); err != nil {
			t.Fatal(err)
		}
		if rec := r.record("one"); !rec.LoginAt.Equal(lastWeek) || !rec.LoginUncertain {
			t.Errorf("login of %v, uncertain %t, want %v", rec.LoginAt, rec.LoginUncertain, lastWeek)
		}
		_ = g.end()
	})
}
