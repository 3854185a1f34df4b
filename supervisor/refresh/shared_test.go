package refresh_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/files/filestest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sharedfile"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// sharedRig is a rig whose one account has a real shared file, and a bot that
// uses it too.
type sharedRig struct {
	*rig
	path string
	bot  *sharedfile.File
}

func newSharedRig(t *testing.T) *sharedRig { return newSharedRigOf(t, format.SaxoCache) }

func newSharedRigOf(t *testing.T, layout string) *sharedRig { return newSharedRigFor(t, layout, 0) }

// newSharedRigFor is newSharedRigOf at a broker whose unused refresh tokens die.
func newSharedRigFor(t *testing.T, layout string, refreshLife time.Duration) *sharedRig {
	r := newRigWith(t, 20*time.Minute, refreshLife, "one")
	path := filepath.Join(filestest.TempDir(t), "tokens.json")
	open := func() *sharedfile.File {
		f, err := sharedfile.New(sharedfile.Config{Path: path, Format: layout, Location: time.UTC})
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	r.accounts[0].Shared = open()
	r.restart()
	return &sharedRig{rig: r, path: path, bot: open()}
}

// botWrites puts a token into the file as a bot does, under the lock or not.
func (r *sharedRig) botWrites(t sdk.Token, locked bool) {
	r.t.Helper()
	if locked {
		release, err := r.bot.Lock(r.t.Context())
		if err != nil {
			r.t.Fatal(err)
		}
		defer func() { _ = release() }()
	}
	if err := r.bot.Write(format.Document{
		AccessToken: t.AccessToken, RefreshToken: t.RefreshToken, Expiry: t.Expiry(), IssuedAt: t.IssuedAt,
	}); err != nil {
		r.t.Fatal(err)
	}
}

// botRefreshes spends the refresh token that works, as a bot does.
func (r *sharedRig) botRefreshes(locked bool) sdk.Token {
	r.t.Helper()
	t := r.broker.grant("one")
	r.botWrites(t, locked)
	return t
}

func (r *sharedRig) inFile() format.Document {
	r.t.Helper()
	d, err := r.bot.Read()
	if err != nil {
		r.t.Fatal(err)
	}
	return d
}

func (r *sharedRig) wants(version uint64, origin store.Origin) {
	r.t.Helper()
	rec := r.record("one")
	if rec.Version != version || rec.Origin != origin || !r.broker.holds("one", rec.Token.RefreshToken) {
		r.t.Errorf("version %d from %s (works: %t), want %d from %s", rec.Version, rec.Origin,
			r.broker.holds("one", rec.Token.RefreshToken), version, origin)
	}
}

func TestWhatABotRefreshedIsAdopted(t *testing.T) {
	for name, notice := range map[string]func(*sharedRig){
		"noticed": func(r *sharedRig) { r.keeper.Touch("one") },
		"seen":    func(r *sharedRig) { r.keeper.Look() },
		"at due":  func(*sharedRig) { time.Sleep(6 * time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newSharedRig(t)
				defer r.watch()()
				g := r.start()
				time.Sleep(10 * time.Minute)
				woken := r.woken()
				r.botRefreshes(true)
				notice(r)
				synctest.Wait()
				r.wants(2, store.OriginExternal)
				if n := r.broker.count(); n != 0 {
					t.Errorf("%d requests of our own, want none", n)
				}
				if n := r.woken() - woken; n != 1 {
					t.Errorf("the sinks were woken %d times, want once", n)
				}
				// The next refresh is ours again, on the token that was adopted.
				time.Sleep(16 * time.Minute)
				synctest.Wait()
				r.wants(3, store.OriginRefresh)
				if !r.broker.holds("one", r.inFile().RefreshToken) {
					t.Error("the file does not hold our new token")
				}
				_ = g.end()
			})
		})
	}
}

func TestLookingDoesNotMoveTheDueTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSharedRig(t)
		g := r.start()
		time.Sleep(time.Second) // in which the file is made
		synctest.Wait()
		before := r.status("one").Due
		for range 20 {
			time.Sleep(30 * time.Second)
			r.keeper.Touch("one")
			synctest.Wait()
		}
		if after := r.status("one").Due; !after.Equal(before) {
			t.Errorf("due moved from %s to %s", before, after)
		}
		if n := r.broker.count(); n != 0 {
			t.Errorf("%d requests before the account was due", n)
		}
		_ = g.end()
	})
}

func TestAnOlderTokenInTheFileIsPutRight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSharedRig(t)
		defer r.watch()()
		old := r.record("one").Token
		g := r.start()
		time.Sleep(16 * time.Minute)
		synctest.Wait()
		r.wants(2, store.OriginRefresh)
		made := r.count(event.SharedFileMended)
		r.botWrites(old, true)
		r.keeper.Look()
		synctest.Wait()
		r.wants(2, store.OriginRefresh)
		if !r.broker.holds("one", r.inFile().RefreshToken) {
			t.Error("the file still holds the older token")
		}
		if n := r.count(event.SharedFileMended) - made; n != 1 {
			t.Errorf("told %d times, want once", n)
		}
		_ = g.end()
	})
}

func TestAnUnreadableFileIsNoReasonToGiveUpTheRecord(t *testing.T) {
	for _, content := range []string{"", "{", `{"access_token": "half`, "null", `{"access_token":"x"}`, strings.Repeat("x", 4096)} {
		synctest.Test(t, func(t *testing.T) {
			r := newSharedRig(t)
			g := r.start()
			time.Sleep(5 * time.Minute)
			if err := os.WriteFile(r.path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			r.keeper.Touch("one")
			time.Sleep(11 * time.Minute)
			synctest.Wait()
			r.wants(2, store.OriginRefresh)
			if !r.broker.holds("one", r.inFile().RefreshToken) {
				t.Errorf("content %.20q: the file was not mended by the refresh", content)
			}
			_ = g.end()
		})
	}
}

// A program that refreshes without the lock makes the server refuse our
// refresh token; what it wrote is found and used.
func TestARivalWithoutTheLockCostsNoLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSharedRig(t)
		defer r.watch()()
		notice, proceed := make(chan struct{}), make(chan struct{})
		r.broker.next("one", fault{before: func() { close(notice); <-proceed }})
		g := r.start()
		<-notice // our request is on its way …
		r.botRefreshes(false)
		close(proceed) // … and comes second
		time.Sleep(time.Second)
		synctest.Wait()
		r.wants(2, store.OriginExternal)
		if s := r.status("one"); s.State != refresh.Valid {
			t.Errorf("state %s, want valid", s.State)
		}
		if n := r.count(event.RivalRefresher); n != 1 {
			t.Errorf("the rival was told of %d times, want once", n)
		}
		r.met(event.RivalRefresher)
		_ = g.end()
	})
}

func TestAHungHolderIsWaitedForAndNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSharedRig(t)
		defer r.watch()()
		g := r.start()
		time.Sleep(10 * time.Minute)
		release, err := r.bot.Lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(7 * time.Minute)
		synctest.Wait()
		if n := r.broker.count(); n != 0 {
			t.Errorf("%d requests while another program holds the lock", n)
		}
		if r.count(event.SharedFileHeld) == 0 {
			t.Error("nobody was told")
		}
		if s := r.status("one"); !strings.Contains(s.Shut, fmt.Sprintf("(process %d)", os.Getpid())) || !r.nudged() {
			t.Errorf("the status says: %q", s.Shut)
		}
		if err := release(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		r.wants(2, store.OriginRefresh)
		if s := r.status("one"); s.Shut != "" {
			t.Errorf("afterwards the status says: %q", s.Shut)
		}
		_ = g.end()
	})
}

// A lock that is held for less than a minute is waited for, and nobody is woken.
func TestAShortHolderIsNoAlert(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSharedRig(t)
		defer r.watch()()
		g := r.start()
		time.Sleep(14*time.Minute + 30*time.Second)
		release, err := r.bot.Lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(65 * time.Second) // refreshes are due at 15 min
		if s := r.status("one"); s.Shut != "" || s.Waiting != promise.LockHeld {
			t.Errorf("after half a minute it counts as shut: %q, waiting %q", s.Shut, s.Waiting)
		}
		if err := release(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		r.wants(2, store.OriginRefresh)
		_ = g.end()
	})
}

func TestTheFirstTokenComesFromTheFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSharedRig(t)
		r.store = store.NewMemory() // nothing is known of the account
		r.restart()
		g := r.start()
		time.Sleep(time.Minute)
		synctest.Wait()
		if s := r.status("one"); s.State != refresh.New {
			t.Fatalf("without a file: %s", s.State)
		}
		r.botRefreshes(true)
		r.keeper.Look()
		synctest.Wait()
		r.wants(1, store.OriginExternal)
		time.Sleep(16 * time.Minute)
		synctest.Wait()
		r.wants(2, store.OriginRefresh)
		_ = g.end()
	})
}

func TestAnAmbiguousAttemptIsSettledByTheFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSharedRig(t)
		defer r.watch()()
		r.broker.next("one", fault{loseAnswer: true})
		g := r.start()
		time.Sleep(15*time.Minute + time.Second)
		synctest.Wait()
		if s := r.status("one"); s.AmbiguousSince.IsZero() {
			t.Fatal("the attempt is not ambiguous")
		}
		r.botRefreshes(true)
		r.keeper.Look()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		r.wants(2, store.OriginExternal)
		if s := r.status("one"); s.State != refresh.Valid || !s.AmbiguousSince.IsZero() {
			t.Errorf("state %s, ambiguous since %s", s.State, s.AmbiguousSince)
		}
		if n := r.broker.count(); n != 1 {
			t.Errorf("%d requests, want 1: the lost one", n)
		}
		_ = g.end()
	})
}

func TestWhatTheFileHoldsBesidesSurvivesOurRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSharedRig(t)
		r.botRefreshes(true)
		var content map[string]any
		b, err := os.ReadFile(r.path)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, &content); err != nil {
			t.Fatal(err)
		}
		content["note"] = "mine"
		b, _ = json.Marshal(content)
		if err := os.WriteFile(r.path, b, 0o640); err != nil {
			t.Fatal(err)
		}
		g := r.start()
		time.Sleep(20 * time.Minute) // the bot's token is adopted, then refreshed
		synctest.Wait()
		r.wants(3, store.OriginRefresh)
		b, err = os.ReadFile(r.path)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(b), `"note"`) || !r.broker.holds("one", r.inFile().RefreshToken) {
			t.Errorf("the bot's own key is gone, or our token is not there: %s", b)
		}
		_ = g.end()
	})
}

// Both refresh within one second, so that no expiry tells which is newer.
func TestARivalInTheSameSecondCostsNoLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSharedRig(t)
		r.botRefreshes(false)
		g := r.start()
		time.Sleep(time.Minute)
		synctest.Wait()
		r.wants(2, store.OriginExternal)
		if n := r.broker.count(); n != 0 {
			t.Errorf("%d requests with our token, which the rival has spent", n)
		}
		_ = g.end()
	})
}

// A program that writes nothing but a refresh token gets an access token for
// it at once, whatever expiry it wrote.
func TestARefreshTokenAloneIsRefreshedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSharedRig(t)
		g := r.start()
		time.Sleep(10 * time.Minute)
		alone := r.broker.grant("one")
		alone.AccessToken = sdk.Secret{}
		r.botWrites(alone, true)
		r.keeper.Look()
		time.Sleep(time.Second)
		synctest.Wait()
		r.wants(3, store.OriginRefresh)
		_ = g.end()
	})
}
