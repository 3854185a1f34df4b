package refresh_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// hung is a refresh of account one to which the broker does not answer yet.
type hung struct {
	*generation
	rt     string // the refresh token that it has sent
	answer func()
}

// hangRefresh lets a refresh come, and hang; f is what else happens to it.
func (r *rig) hangRefresh(f fault) hung {
	r.t.Helper()
	f.notice, f.proceed = make(chan struct{}), make(chan struct{})
	h := hung{rt: r.record("one").Token.RefreshToken.Reveal(), answer: func() { close(f.proceed) }}
	r.broker.next("one", f)
	h.generation = r.start()
	time.Sleep(15*time.Minute + 100*time.Millisecond)
	<-f.notice
	return h
}

// spooledAfter is how much stands in the spool after the generation.
func (r *rig) spooledAfter(g *generation) int {
	r.t.Helper()
	_ = g.end()
	sp, err := spool.Open(r.t.Context(), r.dir+"/spool", 4)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = sp.Close() }()
	return len(sp.Unsettled())
}

// A code does not wait for a refresh that hangs; the old grant's answer, which comes
// after the login's, is kept and told, and never installed.
func TestACodeDoesNotWaitForARefresh(t *testing.T) {
	for name, f := range map[string]fault{
		"answered": {}, "half answered": {half: true}, "its answer is lost": {loseAnswer: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 20*time.Minute, "one")
				defer r.watch()()
				h := r.hangRefresh(f)
				begun := time.Now()
				rec, err := r.keeper.CompleteLogin(t.Context(), "one", r.beginLogin("one"), "code-one")
				if err != nil || time.Since(begun) > time.Second {
					t.Fatalf("after %s: %v", time.Since(begun), err)
				}
				if rec.Version != 2 || rec.Origin != store.OriginLogin {
					t.Errorf("version %d by %s", rec.Version, rec.Origin)
				}
				time.Sleep(10 * time.Second)
				h.answer()
				synctest.Wait()
				now := r.record("one")
				if now.Version != 2 || !now.Token.RefreshToken.Equal(rec.Token.RefreshToken) {
					t.Errorf("version %d by %s, not the login's token", now.Version, now.Origin)
				}
				if want := map[bool]int{true: 0, false: 1}[f.loseAnswer]; len(now.Evidence) != want || r.count(event.AnswerSetAside) != want {
					t.Errorf("%d answers are kept, told %d times, want %d", len(now.Evidence), r.count(event.AnswerSetAside), want)
				}
				if _, stands, err := r.store.Intent(t.Context(), "one"); stands || err != nil {
					t.Errorf("an intent stands (%v)", err)
				}
				time.Sleep(16 * time.Minute)
				synctest.Wait()
				if v := r.record("one").Version; v != 3 || r.broker.refusals() != 0 || r.broker.posts[h.rt] != 1 {
					t.Errorf("version %d, %d refusals, the old token was sent %d times", v, r.broker.refusals(), r.broker.posts[h.rt])
				}
				if n := r.spooledAfter(h.generation); n != 0 {
					t.Errorf("%d attempts are left in the spool", n)
				}
			})
		})
	}
}

// A code that brings nothing leaves the refresh as it was: its answer counts,
// whenever it comes.
func TestACodeThatFailsLeavesTheRefreshUnderWay(t *testing.T) {
	for name, tt := range map[string]struct {
		code  string
		fault *fault
	}{
		"refused": {"wrong", nil}, "not sent": {"code-one", &fault{beforeSend: sdk.ErrNotSent}},
		"its answer is lost": {"code-one", &fault{beforeSend: sdk.ErrAmbiguous}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 20*time.Minute, "one")
				defer r.watch()()
				h := r.hangRefresh(fault{})
				before := r.standing("one")
				if tt.fault != nil {
					r.broker.next("one", *tt.fault)
				}
				for range 2 { // and another one may come
					if _, err := r.keeper.CompleteLogin(t.Context(), "one", r.beginLogin("one"), tt.code); err == nil {
						t.Fatal("the login went well")
					}
					if after := r.standing("one"); !sameJSON(after, before) {
						t.Errorf("the intent was\n%+v, and is\n%+v", before, after)
					}
					if tt.fault != nil {
						break
					}
				}
				h.answer()
				synctest.Wait()
				rec := r.record("one")
				if rec.Version != 2 || rec.Origin != store.OriginRefresh || len(rec.Evidence) != 0 || !r.broker.holds("one", rec.Token.RefreshToken) {
					t.Errorf("version %d by %s, %d answers set aside", rec.Version, rec.Origin, len(rec.Evidence))
				}
				if s := r.status("one"); s.State != refresh.Valid {
					t.Errorf("state %s", s.State)
				}
				if n := r.spooledAfter(h.generation); n != 0 {
					t.Errorf("%d attempts are left in the spool", n)
				}
			})
		})
	}
}

// Of another person's login the refresh does not even hear.
func TestAnotherPersonsCodeLeavesTheRefreshUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, g := alices(t)
		_ = g.end()
		h := r.hangRefresh(fault{})
		if _, err := r.loginAs("one", "bert"); !errors.Is(err, refresh.ErrAnotherPerson) {
			t.Fatal(err)
		}
		h.answer()
		synctest.Wait()
		if rec := r.record("one"); rec.Version != 3 || rec.Origin != store.OriginRefresh || rec.Candidate == nil || len(rec.Evidence) != 0 {
			t.Errorf("version %d by %s, a candidate: %t", rec.Version, rec.Origin, rec.Candidate != nil)
		}
		if n := r.spooledAfter(h.generation); n != 0 {
			t.Errorf("%d attempts are left in the spool", n)
		}
	})
}

// A death while both are under way, in every window of the code: the login counts if
// it was answered, and otherwise the refresh does.
func TestDeathWhileACodeIsSpentBesideARefresh(t *testing.T) {
	for _, w := range []window{beforeSend, sent, answered, spooled} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, 20*time.Minute, "one")
			defer r.watch()()
			h := r.hangRefresh(fault{})
			r.broker.next("one", fault{die: w, kill: func() { h.kill() }})
			if _, err := r.keeper.CompleteLogin(t.Context(), "one", r.beginLogin("one"), "code-one"); !errors.Is(err, sdk.ErrConnection) {
				t.Fatalf("window %d: %v", w, err)
			}
			_ = h.died()
			r.restart()
			g := r.start()
			synctest.Wait()
			rec := r.record("one")
			in, stands, err := r.store.Intent(t.Context(), "one")
			switch {
			case err != nil:
				t.Error(err)
			case w == spooled && (rec.Version != 2 || rec.Origin != store.OriginLogin || stands):
				t.Errorf("window %d: version %d by %s, an intent stands: %t", w, rec.Version, rec.Origin, stands)
			case w != spooled && (rec.Version != 1 || !stands || in.AmbiguousSince.IsZero() || in.Kind != spool.KindRefresh):
				t.Errorf("window %d: version %d by %s, an intent stands: %t, %+v", w, rec.Version, rec.Origin, stands, in)
			}
			if n := r.broker.posts[h.rt]; n != 1 {
				t.Errorf("window %d: the refresh token was sent %d times", w, n)
			}
			_ = g.end()
			h.answer() // of a process that is dead
		})
	}
}

// With a provider of which nobody knows that it can do that, a code waits.
func TestACodeWaitsWithAnEarlierProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		r.alone = true
		h := r.hangRefresh(fault{})
		state, begun := r.beginLogin("one"), time.Now()
		time.AfterFunc(20*time.Second, h.answer)
		rec, err := r.keeper.CompleteLogin(t.Context(), "one", state, "code-one")
		if err != nil || time.Since(begun) < 20*time.Second || rec.Version != 3 {
			t.Errorf("after %s: version %d, %v", time.Since(begun), rec.Version, err)
		}
		_ = h.end()
	})
}
