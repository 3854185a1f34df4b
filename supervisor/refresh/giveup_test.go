package refresh_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

var unreadAnswer = fault{refuse: &sdk.Error{Kind: sdk.KindAmbiguous, Message: "unread", Unread: true, HTTPStatus: 200}}

// An answer that nobody can read holds the refresh token back, and the key as long as
// somebody may still mend it: until consumers need another token. Nobody is woken.
func TestUnreadAnswerGivesWayToTheKey(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r, b := newMintsAndRig(t)
			defer r.watch()()
			gen := r.start()
			synctest.Wait()
			was := r.record("main").Token.RefreshToken.Reveal()
			r.broker.next("main", unreadAnswer)
			time.Sleep(58 * time.Minute)
			if restarted {
				_ = gen.end()
				r.restart()
				gen = r.start()
				synctest.Wait()
			}
			if s := r.status("main"); s.Unread == "" || b.requests() != 1 {
				t.Errorf("before the end: unread %q, %d mints", s.Unread, b.requests())
			}
			time.Sleep(time.Minute + time.Second)
			synctest.Wait()
			r.holds("a minute before the end", 2, b)
			time.Sleep(10 * time.Hour)
			r.holds("ten hours later", 2, b)
			if s := r.status("main"); s.Unread != "" || !s.AmbiguousSince.IsZero() || r.broker.sentOf(was) != 1 || r.count(event.NeedsLogin) != 0 {
				t.Errorf("unread %q since %s; sent %d times, %d logins asked for", s.Unread, s.AmbiguousSince, r.broker.sentOf(was), r.count(event.NeedsLogin))
			}
			if err := gen.end(); err != nil {
				t.Error(err)
			}
		})
	}
}

// What was given up is not sent again, though the mint that was to follow comes to
// nothing for long, whatever is started anew.
func TestGivenUpStaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, b := newMintsAndRig(t)
		gen := r.start()
		synctest.Wait()
		was := r.record("main").Token.RefreshToken.Reveal()
		r.broker.next("main", unreadAnswer)
		for range 40 {
			b.minter.next(func(*spool.Slot) error { return unavailable })
		}
		for range 3 {
			time.Sleep(65 * time.Minute)
			_ = gen.end()
			r.restart()
			gen = r.start()
			synctest.Wait()
		}
		if n := r.broker.sentOf(was); n != 1 {
			t.Errorf("the refresh token was sent %d times", n)
		}
		b.minter.mu.Lock()
		b.minter.faults = nil
		b.minter.mu.Unlock()
		time.Sleep(5 * time.Minute)
		r.holds("once it mints", b.requests(), b)
		_ = gen.end()
	})
}

// A lost session needs another token now, whatever an unread answer holds.
func TestSessionGoneDoesNotWaitForAnUnreadAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, b := newMintsAndRig(t)
		gen := r.start()
		synctest.Wait()
		r.broker.next("main", unreadAnswer)
		time.Sleep(46 * time.Minute)
		r.keeper.SessionGone("main", r.record("main").Version, true)
		time.Sleep(time.Second)
		r.holds("its session is gone", 2, b)
		_ = gen.end()
	})
}

// An attempt of a kind that its provider makes no more bars none of the other kind.
func TestLostAttemptAtAProviderOfTheOtherKind(t *testing.T) {
	t.Run("a mint, and it mints no more", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r, b := newMintsAndRig(t)
			gen := r.start()
			synctest.Wait()
			b.minter.next(func(*spool.Slot) error { return sdk.ErrAmbiguous })
			r.keeper.SessionGone("main", 1, true)
			time.Sleep(time.Second)
			_ = gen.end()
			r.provider = nil // the broker, which refreshes alone
			r.restart()
			gen = r.start()
			time.Sleep(5 * time.Hour)
			if s := r.status("main"); s.State != refresh.Valid || s.Record.Origin != store.OriginRefresh || r.broker.refusals() != 0 {
				t.Errorf("%s, by %s, %d refusals", s.State, s.Record.Origin, r.broker.refusals())
			}
			_ = gen.end()
		})
	})
	t.Run("a refresh, and it only mints", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r, _ := newMintsAndRig(t)
			gen := r.start()
			synctest.Wait()
			r.broker.next("main", unreadAnswer)
			time.Sleep(50 * time.Minute)
			_ = gen.end()
			b := &mint{minter: newMinter(time.Hour, "")}
			r.provider = b
			r.restart()
			gen = r.start()
			time.Sleep(5 * time.Hour)
			r.works(&b.minter, "hours later")
			_ = gen.end()
		})
	})
}

// The refresh token of a client that the configuration names no more is not sent
// again; and the answer that its loss had left in another spool is kept when it turns up.
func TestLateAnswerOfAnAttemptThatWasGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, b := newMintsAndRig(t)
		gen := r.start()
		synctest.Wait()
		was := r.record("main").Token.RefreshToken.Reveal()
		r.broker.next("main", fault{die: spooled, kill: func() { gen.kill() }})
		time.Sleep(45*time.Minute + time.Second)
		_ = gen.died()
		here := r.dir
		r.dir, r.accounts[0].ClientID = t.TempDir(), "another client"
		r.restart()
		gen = r.start()
		time.Sleep(10 * time.Minute)
		r.holds("of another client", 2, b)
		_ = gen.end()
		now := r.record("main")

		r.dir = here
		r.restart()
		gen = r.start()
		synctest.Wait()
		rec := r.record("main")
		late := slices.IndexFunc(rec.Evidence, func(e store.Evidence) bool { return e.Kind == spool.KindRefresh })
		if late < 0 || rec.Version != now.Version || r.broker.sentOf(was) != 1 {
			t.Errorf("version %d after %d, %d answers kept, sent %d times", rec.Version, now.Version, len(rec.Evidence), r.broker.sentOf(was))
		}
		_ = gen.end()
	})
}

// Whoever dies before, in the middle of, or after the giving up goes on with it.
func TestDeathWhileAnAttemptIsGivenUp(t *testing.T) {
	for _, minutes := range []int{58, 59, 60, 75} {
		synctest.Test(t, func(t *testing.T) {
			r, b := newMintsAndRig(t)
			gen := r.start()
			synctest.Wait()
			r.broker.next("main", unreadAnswer)
			first := gen
			b.minter.next(func(*spool.Slot) error { first.kill(); return sdk.ErrAmbiguous }) // of the mint that follows
			time.Sleep(time.Duration(minutes) * time.Minute)
			gen.kill()
			<-gen.done
			r.restart()
			gen = r.start()
			time.Sleep(3 * time.Hour)
			r.holds("three hours after the death", b.requests(), b)
			if b.requests() > 3 {
				t.Errorf("%d mints", b.requests())
			}
			_ = gen.end()
		})
	}
}

// A login whose end has passed by our clock is tried once before a mint takes its
// place: a clock that is days ahead ends none that lives.
func TestMintOverALoginThatHasEnded(t *testing.T) {
	for name, c := range map[string]struct {
		lives     bool // at the broker
		fault     *fault
		mints     int
		sendsMost int
	}{
		"it lives, and the clock is wrong":        {lives: true, mints: 1, sendsMost: 1},
		"it has ended":                            {mints: 2, sendsMost: 1},
		"the broker says nothing of it":           {fault: &fault{refuse: unavailable}, mints: 2, sendsMost: 1},
		"the first try was not sent, and it ends": {fault: &fault{beforeSend: &sdk.Error{Kind: sdk.KindNotSent, Message: "connection refused"}}, mints: 2, sendsMost: 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, b := newMintsAndRig(t)
				r.broker.policyLife, r.broker.fixed = 7*24*time.Hour, true
				defer r.watch()()
				gen := r.start()
				synctest.Wait()
				was := r.record("main")
				if !c.lives {
					r.broker.grant("main") // so that ours is refused
				}
				if c.fault != nil {
					r.broker.next("main", *c.fault)
				}
				r.jumpBy(8 * 24 * time.Hour)
				r.keeper.Look()
				time.Sleep(time.Minute)
				r.jumpBy(-8 * 24 * time.Hour)
				rec := r.record("main")
				if sent := r.broker.sentOf(was.Token.RefreshToken.Reveal()); b.requests() != c.mints || sent > c.sendsMost || rec.Version == was.Version {
					t.Errorf("%d mints, want %d; sent %d times; version %d by %s; %+v", b.requests(), c.mints, sent, rec.Version, rec.Origin, rec.Health)
				}
				if c.lives && rec.Grant != was.Grant {
					t.Errorf("grant %d took the place of %d, which lives", rec.Grant, was.Grant)
				}
				time.Sleep(5 * time.Hour)
				r.holds("with the clock put right", c.mints, b)
				if n := r.count(event.NeedsLogin); n > 0 {
					t.Errorf("%d logins asked for", n)
				}
				_ = gen.end()
			})
		})
	}
}

// sentOf is how often a refresh token was sent.
func (b *broker) sentOf(refreshToken string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.posts[refreshToken]
}

// That the end of the login is known holds the key back no longer.
func TestUnreadAnswerOfALoginWithAnEndGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, b := newMintsAndRig(t)
		r.broker.policyLife = 7 * 24 * time.Hour
		gen := r.start()
		synctest.Wait()
		r.broker.next("main", unreadAnswer)
		time.Sleep(10 * time.Hour)
		r.holds("ten hours later", 2, b)
		if err := gen.end(); err != nil {
			t.Error(err)
		}
	})
}

// A session that is gone, perhaps because of the very refresh whose answer was lost, is
// no reason to give up what the broker still accepts.
func TestNothingIsGivenUpWithinTheGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, b := newMintsAndRig(t)
		r.broker.grace = 30 * time.Minute
		gen := r.start()
		synctest.Wait()
		was := r.record("main")
		for range 8 {
			r.broker.next("main", fault{refuse: sdk.ErrAmbiguous})
		}
		time.Sleep(46*time.Minute + 10*time.Second)
		r.keeper.SessionGone("main", was.Version, true)
		time.Sleep(10 * time.Minute)
		if rec := r.record("main"); rec.Grant != was.Grant || rec.Version != was.Version+1 || b.requests() != 1 {
			t.Errorf("v%d by %s of grant %d, %d mints", rec.Version, rec.Origin, rec.Grant, b.requests())
		}
		if err := gen.end(); err != nil {
			t.Error(err)
		}
	})
}

// A mint waits until no answer can come any more to what it takes the place of: a
// refresh that the broker makes after it would end its token.
func TestNothingIsGivenUpWhileAnAnswerMayCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, b := newMintsAndRig(t)
		gen := r.start()
		synctest.Wait()
		was := r.record("main")
		for range 8 {
			r.broker.next("main", fault{refuse: sdk.ErrAmbiguous})
		}
		time.Sleep(45*time.Minute + time.Second)
		if r.status("main").AmbiguousSince.IsZero() {
			t.Fatal("no answer was lost")
		}
		r.keeper.SessionGone("main", was.Version, true)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if b.requests() != 1 {
			t.Errorf("%d mints, eleven seconds after the refresh was sent", b.requests())
		}
		time.Sleep(time.Minute)
		r.holds("a minute later", 2, b)
		if err := gen.end(); err != nil {
			t.Error(err)
		}
	})
}

// What a build that only mints has given up is not sent by the next one that refreshes,
// as if it had never been sent.
func TestGivenUpByAnotherBuildStaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, and := newMintsAndRig(t)
		gen := r.start()
		synctest.Wait()
		was := r.record("main").Token.RefreshToken.Reveal()
		r.broker.next("main", unreadAnswer)
		time.Sleep(50 * time.Minute)
		_ = gen.end()
		only := &mint{minter: newMinter(time.Hour, "")}
		for range 40 {
			only.next(func(*spool.Slot) error { return unavailable })
		}
		r.provider = only
		r.restart()
		gen = r.start()
		time.Sleep(time.Minute)
		_ = gen.end()
		r.provider = and
		r.restart()
		gen = r.start()
		time.Sleep(30 * time.Minute)
		if n := r.broker.sentOf(was); n != 1 {
			t.Errorf("sent %d times, %+v", n, r.record("main").Health)
		}
		if err := gen.end(); err != nil {
			t.Error(err)
		}
	})
}
