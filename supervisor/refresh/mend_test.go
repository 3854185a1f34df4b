package refresh_test

import (
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// damages are what can become of a shared file.
func damages() map[string]func(path string) error {
	holds := func(content string) func(string) error {
		return func(path string) error { return os.WriteFile(path, []byte(content), 0o600) }
	}
	return map[string]func(string) error{
		"gone": os.Remove, "empty": holds(""), "cut off": holds(`{"access_token": "half`),
		"binary": holds("\x00\x01\x02"), "no token": holds(`{"app_key": "k"}`), "another kind": holds("null"),
	}
}

// A shared file that holds nothing is put right within seconds, without asking
// the server, and told once.
func TestADamagedSharedFileIsPutRightAtOnce(t *testing.T) {
	for name, damage := range damages() {
		for when, notice := range map[string]func(*sharedRig){
			"noticed": func(r *sharedRig) { r.keeper.Touch("one") },
			"seen":    func(r *sharedRig) { r.keeper.Look() },
		} {
			t.Run(name+", "+when, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newSharedRig(t)
					defer r.watch()()
					r.botWrites(r.record("one").Token, true)
					g := r.start()
					time.Sleep(5 * time.Minute)
					due := r.status("one").Due
					if err := damage(r.path); err != nil {
						t.Fatal(err)
					}
					notice(r)
					time.Sleep(2 * time.Second)
					synctest.Wait()
					if !r.broker.holds("one", r.inFile().RefreshToken) {
						t.Error("the file does not hold the token that works")
					}
					if n := r.count(event.SharedFileMended); n != 1 {
						t.Errorf("told %d times", n)
					}
					if n := r.broker.count(); n != 0 || r.record("one").Version != 1 || !r.status("one").Due.Equal(due) {
						t.Errorf("%d requests, version %d, due %s and then %s", n, r.record("one").Version, due, r.status("one").Due)
					}
					_ = g.end()
				})
			})
		}
	}
}

// Found so at a start, too.
func TestADamagedSharedFileIsPutRightAtTheStart(t *testing.T) {
	for name, damage := range damages() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newSharedRig(t)
				r.botWrites(r.record("one").Token, true)
				if err := damage(r.path); err != nil {
					t.Fatal(err)
				}
				g := r.start()
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if !r.broker.holds("one", r.inFile().RefreshToken) {
					t.Error("the file does not hold the token that works")
				}
				_ = g.end()
			})
		})
	}
}

// A bot that writes in place makes the file empty for a moment: under the lock
// nobody looks, and without it there is a second look. Its token is taken.
func TestAWriterIsNotDisturbed(t *testing.T) {
	for name, locked := range map[string]bool{"with the lock": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newSharedRig(t)
				defer r.watch()()
				r.botWrites(r.record("one").Token, true)
				g := r.start()
				time.Sleep(5 * time.Minute)
				theirs := r.broker.grant("one")
				release, takes := func() error { return nil }, 300*time.Millisecond
				if locked {
					takes = 10 * time.Second
					var err error
					if release, err = r.bot.Lock(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				if err := os.Truncate(r.path, 0); err != nil {
					t.Fatal(err)
				}
				r.keeper.Touch("one")
				time.Sleep(takes)
				if b, err := os.ReadFile(r.path); len(b) > 0 || err != nil {
					t.Fatalf("somebody wrote while the bot did: %q, %v", b, err)
				}
				r.botWrites(theirs, false)
				_ = release()
				time.Sleep(5 * time.Second)
				synctest.Wait()
				r.wants(2, store.OriginExternal)
				if n := r.count(event.SharedFileMended); n != 0 {
					t.Errorf("told %d times that it was mended", n)
				}
				_ = g.end()
			})
		})
	}
}

// An account without a token, or whose token was refused, has nothing to put
// into the file.
func TestNothingIsPutIntoTheFileOfAnAccountWithoutAToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSharedRig(t)
		r.store = store.NewMemory()
		r.restart()
		g := r.start()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if _, err := os.Stat(r.path); err == nil || r.status("one").State != refresh.New {
			t.Errorf("a file is there (%v), state %s", err, r.status("one").State)
		}
		_ = g.end()
	})
}

// What is left of another program's token is kept.
func TestTheRestOfADamagedFileIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSharedRig(t)
		defer r.watch()()
		r.botWrites(r.record("one").Token, true)
		g := r.start()
		time.Sleep(time.Minute)
		const rest = `{"refresh_token": "thei`
		if err := os.WriteFile(r.path, []byte(rest), 0o600); err != nil {
			t.Fatal(err)
		}
		r.keeper.Touch("one")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		b, err := os.ReadFile(r.path + ".damaged")
		if err != nil || string(b) != rest {
			t.Errorf("kept: %q, %v", b, err)
		}
		told := false
		r.mu.Lock()
		for _, e := range r.events {
			told = told || e.Type == event.SharedFileMended && strings.Contains(e.Message, ".damaged")
		}
		r.mu.Unlock()
		if !told {
			t.Error("nobody was told where it is")
		}
		_ = g.end()
	})
}

// What is left of a file may be the only copy of a login: a refresh token that stands in it
// whole is neither written over nor outdone by ours before a person has decided, and no more
// are two.
func TestAnUnknownTokenInTheRestIsAskedAbout(t *testing.T) {
	for _, rest := range []string{`{"refresh_token": "theirs", "access_tok`, `{"refresh_token": "theirs"}{"refresh_token": "another", "access_tok`} {
		t.Run("", func(t *testing.T) { asksAboutRest(t, rest) })
	}
}

func asksAboutRest(t *testing.T, rest string) {
	synctest.Test(t, func(t *testing.T) {
		r := newSharedRig(t)
		defer r.watch()()
		r.botWrites(r.record("one").Token, true)
		g := r.start()
		time.Sleep(time.Minute)
		if err := os.WriteFile(r.path, []byte(rest), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Minute) // ours was due
		synctest.Wait()
		for _, path := range []string{r.path, r.path + ".damaged"} {
			if b, err := os.ReadFile(path); err != nil || string(b) != rest {
				t.Errorf("%s holds %q, %v", path, b, err)
			}
		}
		if s := r.status("one"); r.broker.count() != 0 || s.Record.Version != 1 || !strings.Contains(s.Asked, ".damaged") || r.count(event.UnknownToken) != 1 {
			t.Errorf("%d requests, version %d, asked %q, told %d times", r.broker.count(), s.Record.Version, s.Asked, r.count(event.UnknownToken))
		}
		if _, err := r.keeper.Refresh(t.Context(), "one", true); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if s := r.status("one"); s.Asked != "" || !r.inFile().RefreshToken.Equal(s.Record.Token.RefreshToken) {
			t.Errorf("it is still asked %q, or the file does not hold ours", s.Asked)
		}
		_ = g.end()
	})
}

// One that is newer is taken, as out of a whole file.
func TestANewerTokenInTheRestIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSharedRig(t)
		r.botWrites(r.record("one").Token, true)
		g := r.start()
		time.Sleep(time.Minute)
		theirs := r.broker.grant("one")
		rest := `{"refresh_token": "` + theirs.RefreshToken.Reveal() + `", "access_tok`
		if err := os.WriteFile(r.path, []byte(rest), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(r.path, time.Time{}, time.Now()); err != nil {
			t.Fatal(err)
		}
		r.keeper.Touch("one")
		time.Sleep(time.Minute)
		synctest.Wait()
		r.wants(3, store.OriginRefresh) // it came without an access token
		if b, err := os.ReadFile(r.path + ".damaged"); err != nil || string(b) != rest || !r.broker.holds("one", r.inFile().RefreshToken) {
			t.Errorf("kept: %q, %v", b, err)
		}
		_ = g.end()
	})
}
