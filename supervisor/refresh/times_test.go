package refresh_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// timesRig is a rig with account one and whoever reads its log.
func timesRig(t *testing.T) (r *rig, log *bytes.Buffer) {
	r, log = newRig(t, 20*time.Minute, "one"), &bytes.Buffer{}
	r.log = slog.New(slog.NewTextHandler(log, nil))
	r.restart()
	return r, log
}

// always makes the broker say that in each of the next answers.
func (b *broker) always(says func(*sdk.Token)) {
	for range 5000 {
		b.next("one", fault{says: says})
	}
}

// A provider that sends the broker's time, or that of another zone, for the moment
// at which an answer came, has no more refreshes made than another, and no consumer is
// told of a life that is longer.
func TestIssuedInTheFuture(t *testing.T) {
	for name, ahead := range map[string]time.Duration{
		"not at all": 0, "our clock is a second behind": time.Second, "our clock is 3 s behind": 3 * time.Second,
		"local time as UTC": 9 * time.Hour, "seconds for milliseconds": 200 * 365 * 24 * time.Hour,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, log := timesRig(t)
				r.broker.always(func(t *sdk.Token) { t.IssuedAt = t.IssuedAt.Add(ahead) })
				g := r.start()
				time.Sleep(time.Hour + time.Minute)
				synctest.Wait()
				if n := r.broker.count(); n != 4 {
					t.Errorf("%d refreshes in an hour, want 4", n)
				}
				s := r.status("one")
				if left := s.Record.Token.Expiry().Sub(r.wall()); s.State != refresh.Valid || left <= 0 || left > 20*time.Minute {
					t.Errorf("%s, for another %s", s.State, left)
				}
				want := 1
				if ahead < 2*time.Second {
					want = 0
				}
				if n := strings.Count(log.String(), "level=WARN"); n != want || want > 0 && !strings.Contains(log.String(), "account=one") {
					t.Errorf("warned %d times, want %d:\n%s", n, want, log)
				}
				_ = g.end()
			})
		})
	}
}

// So it is with the answer to a login, and with one that waited in the spool while the
// clock was set back: nobody knows how old its token is, and so the next one is asked for.
func TestIssuedInTheFutureOfALogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := timesRig(t)
		g := r.start()
		synctest.Wait()
		r.broker.next("one", fault{says: func(t *sdk.Token) { t.IssuedAt = t.IssuedAt.Add(9 * time.Hour) }})
		begun, err := r.keeper.BeginLogin(t.Context(), "one", "", event.Caller{UID: 7})
		if err != nil {
			t.Fatal(err)
		}
		rec, err := r.keeper.CompleteLogin(t.Context(), "one", begun.URL[strings.LastIndex(begun.URL, "=")+1:], "code-one")
		if err != nil || rec.LoginAt.After(r.wall()) || rec.Token.Expiry().After(r.wall().Add(20*time.Minute)) {
			t.Errorf("logged in %s, until %s, %v", rec.LoginAt, rec.Token.Expiry(), err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := len(r.broker.sentAt); n != 1+3 && n != 1+4 {
			t.Errorf("%d requests in an hour", n)
		}
		_ = g.end()
	})
}

func TestSpooledAnswerOfAClockThatWasSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := timesRig(t)
		g := r.start()
		r.broker.next("one", fault{die: spooled, kill: func() { g.kill() }})
		time.Sleep(16 * time.Minute)
		_ = g.died()
		r.jumpBy(-time.Hour)
		r.restart()
		g = r.start()
		time.Sleep(time.Minute)
		synctest.Wait()
		if s := r.status("one"); s.State != refresh.Valid || s.Record.Version != 3 || r.broker.count() != 2 {
			t.Errorf("%s at version %d after %d requests", s.State, s.Record.Version, r.broker.count())
		}
		_ = g.end()
	})
}

// What an answer says of the life of its access token, and what becomes of that.
func TestLifetimesOfAnswers(t *testing.T) {
	const usual = 20 * time.Minute
	for name, tt := range map[string]struct {
		says      time.Duration
		stored    time.Duration
		uncertain bool
		dead      bool   // it is given to nobody, and counts as a failure
		warns     string // "": of nothing
	}{
		"as usual":                 {says: usual, stored: usual},
		"half of it":               {says: usual / 2, stored: usual / 2},
		"missing, or zero":         {says: 0, stored: usual, uncertain: true},
		"negative":                 {says: -time.Second, stored: -time.Second, dead: true},
		"negative beyond measure":  {says: -1 << 63, stored: -366 * 24 * time.Hour, dead: true},
		"milliseconds for seconds": {says: 1000 * usual, stored: 1000 * usual, warns: "milliseconds for seconds?"},
		"longer than any token":    {says: 1<<63 - 1, stored: 366 * 24 * time.Hour, warns: "milliseconds for seconds?"},
		"far shorter":              {says: time.Minute, stored: time.Minute, warns: "such tokens are known to live 20m0s"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, log := timesRig(t)
				defer r.watch()()
				woken := r.woken()
				r.broker.next("one", fault{says: func(t *sdk.Token) { t.Lifetime = tt.says }})
				g := r.start()
				time.Sleep(15*time.Minute + time.Second)
				synctest.Wait()
				s := r.status("one")
				if token := s.Record.Token; s.Record.Version != 2 || token.Lifetime != tt.stored || token.Uncertain != tt.uncertain || !r.broker.holds("one", token.RefreshToken) {
					t.Errorf("version %d lives %s (assumed: %t), want %s (%t)", s.Record.Version, token.Lifetime, token.Uncertain, tt.stored, tt.uncertain)
				}
				if stored := r.record("one"); stored.Version != 2 || stored.Token.Lifetime != tt.stored {
					t.Errorf("stored is version %d, which lives %s", stored.Version, stored.Token.Lifetime)
				}
				if delivered := r.woken() > woken; delivered == tt.dead {
					t.Errorf("delivered: %t", delivered)
				}
				if failures := s.Record.Health.Failures; (failures == 1) != tt.dead || (r.count(event.RefreshFailed) == 1) != tt.dead {
					t.Errorf("%d failures, told %d times", failures, r.count(event.RefreshFailed))
				}
				if n := strings.Count(log.String(), "level=WARN"); n > 1 || (n == 1) != (tt.warns != "") || !strings.Contains(log.String(), tt.warns) {
					t.Errorf("warned %d times, want %q:\n%s", n, tt.warns, log)
				}
				if tt.dead { // the next one lives, and is what consumers get
					time.Sleep(3 * time.Second)
					synctest.Wait()
					if s := r.status("one"); s.State != refresh.Valid || s.Record.Version != 3 || s.Record.Health.Failures != 0 || r.woken() != woken+1 {
						t.Errorf("%s at version %d after the next answer, %+v", s.State, s.Record.Version, s.Record.Health)
					}
				}
				_ = g.end()
			})
		})
	}
}

// A broker whose tokens are always dead is asked ever more rarely, and that is an alert.
func TestTokensThatAreAlwaysDeadBackOff(t *testing.T) {
	for name, says := range map[string]func(*sdk.Token){
		"a negative life":          func(t *sdk.Token) { t.Lifetime = -time.Minute },
		"the least that there is":  func(t *sdk.Token) { t.Lifetime = -1 << 63 },
		"the time of another zone": func(t *sdk.Token) { t.IssuedAt = t.IssuedAt.Add(-9 * time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, log := timesRig(t)
				defer r.watch()()
				r.broker.always(says)
				woken := r.woken()
				g := r.start()
				time.Sleep(75 * time.Minute)
				synctest.Wait()
				s := r.status("one")
				if n := r.broker.count(); n < 50 || n > 70 || s.Record.Health.Failures != n || uint64(n)+1 != s.Record.Version {
					t.Errorf("%d requests in an hour, %d failures, version %d", n, s.Record.Health.Failures, s.Record.Version)
				}
				if !r.nudged() || s.Record.Health.Failures < s.MaxFailures || !strings.Contains(s.Record.Health.LastError, "dead already") {
					t.Errorf("nothing for an alert: %+v", s.Record.Health)
				}
				if r.woken() != woken || r.count(event.Refreshed) != 0 {
					t.Errorf("delivered %d times, told as refreshed %d times", r.woken()-woken, r.count(event.Refreshed))
				}
				if n := strings.Count(log.String(), "milliseconds"); n != 0 {
					t.Errorf("warned of another thing:\n%s", log)
				}
				_ = g.end()
			})
		})
	}
}

// Half an answer is held to the same bounds as a whole one.
func TestTimesOfHalfAnswers(t *testing.T) {
	for name, says := range map[string]func(*sdk.Token){
		"none":                     func(t *sdk.Token) { t.IssuedAt = time.Time{} },
		"before our time":          func(t *sdk.Token) { t.IssuedAt = time.Unix(-1<<40, 0) },
		"milliseconds":             func(t *sdk.Token) { t.IssuedAt = time.Unix(t.IssuedAt.UnixMilli(), 0) },
		"the time of another zone": func(t *sdk.Token) { t.IssuedAt = t.IssuedAt.Add(9 * time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, _ := timesRig(t)
				g := r.start()
				r.broker.next("one", fault{half: true, says: func(t *sdk.Token) {
					says(t)
					t.RefreshLifetime = time.Hour
				}}, fault{before: func() {
					s := r.status("one")
					if end := s.Record.RefreshExpiry; !moment.Sane(end) || end.Sub(r.wall()).Round(time.Minute) != time.Hour || s.Record.Version != 2 {
						t.Errorf("version %d: its refresh token ends %s, want in an hour", s.Record.Version, end)
					}
				}})
				time.Sleep(16 * time.Minute)
				synctest.Wait()
				if s := r.status("one"); s.State != refresh.Valid || s.Record.Version != 3 || r.broker.count() != 2 {
					t.Errorf("%s at version %d after %d requests", s.State, s.Record.Version, r.broker.count())
				}
				_ = g.end()
			})
		})
	}
}

// So is that of an account's first login, and what is set aside.
func TestTimesOfAFirstLoginThatIsHalf(t *testing.T) {
	for name, issued := range map[string]time.Time{"none": {}, "milliseconds": time.Unix(1<<40, 0)} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, _ := timesRig(t)
				r.accounts = append(r.accounts, refresh.Account{Account: sdk.Account{Name: "two"}, Timeout: 30 * time.Second, MaxFailures: 5})
				r.restart()
				g := r.start()
				synctest.Wait()
				r.broker.next("two", fault{half: true, says: func(t *sdk.Token) { t.IssuedAt = issued }}, fault{before: func() {
					rec := r.record("two")
					if rec.LoginAt.Sub(r.wall()).Abs() > time.Minute || rec.Token.IssuedAt.Sub(r.wall()).Abs() > time.Minute {
						t.Errorf("logged in %s, issued %s", rec.LoginAt, rec.Token.IssuedAt)
					}
				}})
				begun, err := r.keeper.BeginLogin(t.Context(), "two", "", event.Caller{UID: 7})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := r.keeper.CompleteLogin(t.Context(), "two", begun.URL[strings.LastIndex(begun.URL, "=")+1:], "code-two"); err != nil {
					t.Fatal(err)
				}
				time.Sleep(5 * time.Second)
				synctest.Wait()
				if s := r.status("two"); s.State != refresh.Valid || s.Record.Version != 2 {
					t.Errorf("%s at version %d", s.State, s.Record.Version)
				}
				_ = g.end()
			})
		})
	}
}

// An answer in the spool is taken whenever its attempt is said to have begun.
func TestSpooledAnswerThatBeganAtNoTime(t *testing.T) {
	for name, begun := range map[string]time.Time{
		"milliseconds": time.Unix(1<<42, 0), "before our time": time.Unix(-1<<40, 0), "tomorrow": time.Date(2000, 1, 2, 0, 0, 0, 0, time.UTC),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 20*time.Minute, "one")
				rec := r.record("one")
				r.answeredInSpool()
				r.restored(rec) // which knows nothing of the attempt
				r.begun = begun
				g := r.start()
				time.Sleep(10 * time.Second)
				synctest.Wait()
				s := r.status("one")
				if s.State != refresh.Valid || s.Record.Version != 2 || !r.broker.holds("one", s.Record.Token.RefreshToken) || r.broker.count() != 1 {
					t.Errorf("%s at version %d after %d requests", s.State, s.Record.Version, r.broker.count())
				}
				_ = g.end()
			})
		})
	}
}

// One that does not say when it came counts from when its attempt began: its token is
// used for as long as it lives for certain.
func TestSpooledAnswerThatCameAtNoTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		g := r.start()
		r.broker.next("one", fault{die: spooled, says: func(t *sdk.Token) { t.IssuedAt = time.Time{} }, kill: func() { g.kill() }})
		time.Sleep(15*time.Minute + time.Second)
		_ = g.died()
		time.Sleep(5 * time.Minute)
		r.restart()
		g = r.start()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		token := r.record("one").Token
		if age := r.wall().Sub(token.IssuedAt).Round(time.Minute); age != 5*time.Minute || token.Lifetime != 20*time.Minute || r.broker.count() != 1 {
			t.Errorf("it is %s old and lives %s, after %d requests", age, token.Lifetime, r.broker.count())
		}
		_ = g.end()
	})
}

// A guided login is stored, and polled, within bounds of ours.
func TestTimesOfAGuidedLogin(t *testing.T) {
	for name, ends := range map[string]time.Time{
		"it does not say": {}, "milliseconds": time.Unix(1<<42, 0), "in years": time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), "the year 1970": time.Unix(0, 0),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, guide := guidedRig(t, []string{"one"}, sdk.LoginDevice)
				guide.ends = ends
				guide.say(&sdk.Error{Kind: sdk.KindPending, Message: "later", RetryAfter: 1<<63 - 1})
				g := r.start()
				synctest.Wait()
				r.begin("one", sdk.LoginDevice)
				l, stands, err := r.store.Login(t.Context(), "one")
				if most := r.wall().Add(24 * time.Hour); err != nil || !stands || l.Until.After(most) || l.Guided.Expires.After(most) {
					t.Errorf("it is open until %s, and ends %s (%t, %v)", l.Until, l.Guided.Expires, stands, err)
				}
				time.Sleep(2 * time.Hour)
				synctest.Wait()
				for _, a := range guide.asks() {
					if !a.login.Expires.Equal(l.Guided.Expires) || a.login.PollEvery > time.Hour {
						t.Errorf("the provider is told that it ends %s, polled each %s", a.login.Expires, a.login.PollEvery)
					}
				}
				if n := len(guide.asks()); n < 1 || n > 2 {
					t.Errorf("polled %d times", n)
				}
				_ = g.end()
			})
		})
	}
}
