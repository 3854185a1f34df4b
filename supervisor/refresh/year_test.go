package refresh_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/files/filestest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sharedfile"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// year is how much simulated time TestYear covers from the start of 2028: all of
// it, with its leap day, with -year 8784h.
var year = flag.Duration("year", 0, "simulated time that TestYear covers from 2028-01-01; 0: two days around the leap day and around each end and begin of summer time")

// world drives a rig through simulated time, half a minute at a time, as the
// supervisor's watch does, and checks after each step that consumers hold a
// token that works whenever the broker allowed it.
type world struct {
	*rig
	gen *generation
	// excused: until then, in real time, nobody can ask for a working token.
	excused time.Time
	logins  int
}

func newWorld(r *rig) *world { return &world{rig: r, gen: r.start()} }

// recovery is how long the supervisor may take from the moment at which the
// broker can be reached again: the longest pause between tries, its jitter,
// and one look.
const recovery = time.Minute + 12*time.Second + 30*time.Second

func (w *world) run(d time.Duration) {
	w.t.Helper()
	for end := w.real().Add(d); w.real().Before(end); {
		time.Sleep(30 * time.Second)
		w.keeper.Look()
		synctest.Wait()
		w.check()
	}
}

func (w *world) check() {
	w.t.Helper()
	for _, a := range w.accounts {
		s := w.status(a.Name)
		if s.State == refresh.NeedsLogin {
			if w.real().Before(w.broker.grantDies(a.Name)) {
				w.t.Fatalf("%s: account %s needs a login although its refresh token lives", w.real(), a.Name)
			}
			w.logIn(a.Name)
			continue
		}
		if !w.broker.accepts(s.Record.Token.AccessToken) && w.real().After(w.excused) {
			w.t.Fatalf("%s: account %s (%s, version %d) holds a token that does not work; due %s, wall clock %s",
				w.real(), a.Name, s.State, s.Record.Version, s.Due, w.wall())
		}
	}
}

// logIn is the person.
func (w *world) logIn(account string) {
	w.t.Helper()
	w.logins++
	if _, err := w.keeper.Import(w.t.Context(), store.Record{Account: account, Token: w.broker.grant(account)}, false); err != nil {
		w.t.Fatal(err)
	}
}

// outage makes the broker unreachable for d.
func (w *world) outage(d time.Duration) {
	w.t.Helper()
	w.broker.setDown(true)
	w.excused = w.real().Add(d + recovery)
	w.run(d)
	w.broker.setDown(false)
	w.run(recovery + time.Minute)
}

func TestYear(t *testing.T) {
	if *year > 0 {
		simulate(t, time.Date(2028, 1, 1, 0, 0, 0, 0, time.UTC), *year)
		return
	}
	days := []time.Time{
		time.Date(2028, 3, 25, 12, 0, 0, 0, time.UTC),
		time.Date(2028, 2, 28, 12, 0, 0, 0, time.UTC),
		time.Date(2028, 10, 28, 12, 0, 0, 0, time.UTC),
	}
	howLong := 48 * time.Hour
	if testing.Short() {
		days, howLong = days[:1], 24*time.Hour
	}
	for _, day := range days {
		t.Run(day.Format(time.DateOnly), func(t *testing.T) { simulate(t, day, howLong) })
	}
}

func simulate(t *testing.T, from time.Time, howLong time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(from))
		r := newRigWith(t, 20*time.Minute, time.Hour, "saxo-like", "other")
		chance := rand.New(rand.NewPCG(2028, uint64(from.YearDay())))
		bot := r.share("other", "Europe/Copenhagen")
		w := newWorld(r)
		for begin := w.real(); w.real().Sub(begin) < howLong; {
			w.run(time.Duration(chance.IntN(12*60)) * time.Minute)
			switch chance.IntN(7) {
			case 0:
				w.outage(time.Duration(1+chance.IntN(40)) * time.Minute)
			case 1: // the lid is closed over night, and both grants die
				w.suspend(8 * time.Hour)
				w.excused = w.real().Add(recovery)
				w.run(recovery + time.Minute)
			case 2: // a short sleep
				w.suspend(time.Duration(chance.IntN(30)) * time.Minute)
				w.excused = w.real().Add(recovery)
				w.run(recovery)
			case 3: // somebody sets the clock, as a wrong time zone does
				w.jumpBy([]time.Duration{time.Hour, -time.Hour, 24 * time.Hour, -24 * time.Hour}[chance.IntN(4)])
			case 4: // a new version of the program
				_ = w.gen.end()
				w.restart()
				w.gen = w.start()
			case 6: // a bot refreshes the grant that it shares with us
				r.botRefreshes(bot, "other")
				w.run(time.Minute)
			case 5: // the provider dies
				w.gen.kill()
				<-w.gen.done
				w.gen.stop()
				w.gen = w.start()
			}
		}
		_ = w.gen.end()
		if twice := r.broker.sentTwice(); len(twice) > 0 {
			t.Errorf("sent twice: %v", twice)
		}
		t.Logf("%s simulated: %d refreshes, %d logins", howLong, r.broker.count(), w.logins)
	})
}

// share gives the account a shared file in a format whose times are local and
// have no zone, and returns a bot's view of it.
func (r *rig) share(account, zone string) *sharedfile.File {
	r.t.Helper()
	location, err := time.LoadLocation(zone)
	if err != nil {
		r.t.Skipf("no time zones on this machine: %v", err)
	}
	path := filepath.Join(filestest.TempDir(r.t), "tokens.json")
	open := func() *sharedfile.File {
		f, err := sharedfile.New(sharedfile.Config{Path: path, Format: format.SaxoCache, Location: location})
		if err != nil {
			r.t.Fatal(err)
		}
		return f
	}
	for i := range r.accounts {
		if r.accounts[i].Name == account {
			r.accounts[i].Shared = open()
		}
	}
	r.restart()
	return open()
}

// botRefreshes is a bot that keeps to the lock.
func (r *rig) botRefreshes(bot *sharedfile.File, account string) {
	r.t.Helper()
	release, err := bot.Lock(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	t := r.broker.grant(account)
	if err := errors.Join(bot.Write(format.Document{
		AccessToken: t.AccessToken, RefreshToken: t.RefreshToken, Expiry: t.Expiry(), IssuedAt: t.IssuedAt,
	}), release()); err != nil {
		r.t.Fatal(err)
	}
}

// An outage of every length up to the refresh token's life costs no login, and
// ends with a working token.
func TestOutagesOfEveryLength(t *testing.T) {
	step := 1
	if testing.Short() {
		step = 5
	}
	for minutes := 1; minutes <= 44; minutes += step {
		synctest.Test(t, func(t *testing.T) {
			r := newRigWith(t, 20*time.Minute, time.Hour, "one")
			w := newWorld(r)
			w.run(time.Duration(minutes) * 7 % (20 * time.Minute))
			w.run(time.Duration(minutes%15) * time.Minute)
			w.outage(time.Duration(minutes) * time.Minute)
			if w.logins > 0 {
				t.Errorf("an outage of %d minutes cost a login", minutes)
			}
			_ = w.gen.end()
		})
	}
}

// A jump of our clock does not shorten a token's life for consumers.
func TestJumpsOfEveryKindKeepTheTokenAlive(t *testing.T) {
	step := 1
	if testing.Short() {
		step = 7
	}
	for _, jump := range []time.Duration{time.Hour, -time.Hour, 24 * time.Hour, -24 * time.Hour, 3 * time.Second, -90 * time.Second} {
		for at := 0; at < 20; at += step {
			t.Run(fmt.Sprintf("%s after %d minutes", jump, at), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRigWith(t, 20*time.Minute, time.Hour, "one")
					w := newWorld(r)
					w.run(time.Duration(at) * time.Minute)
					w.jumpBy(jump)
					w.run(3 * time.Hour)
					w.jumpBy(-jump)
					w.run(3 * time.Hour)
					if w.logins > 0 {
						t.Error("it cost a login")
					}
					_ = w.gen.end()
				})
			})
		}
	}
}
