package refresh_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/sdk/oauth"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// This file brings an account whose client has several secrets to a simulated broker.

// says is a provider with a policy of its own.
type says struct {
	*rotating
	policy sdk.Policy
}

func (p says) Describe(context.Context) (sdk.Description, error) {
	return sdk.Description{Name: "fake", Policy: p.policy}, nil
}

// secretsAt is a rig whose account has the secrets "old" and "new" at a broker that takes
// the new one alone.
type secretsAt struct {
	*rig
	sim *brokersim.Server
	gen *generation
	// first is the refresh token that it has been given.
	first brokersim.Grant
}

func newSecretsAt(t *testing.T, config brokersim.Config, providerSays, accountSays bool) *secretsAt {
	t.Helper()
	config.Now, config.AccessLifetime, config.RefreshLifetime = time.Now, 20*time.Minute, 24*time.Hour
	w := &secretsAt{rig: newRig(t, time.Hour, "one"), sim: brokersim.New(config)}
	t.Cleanup(w.sim.Close)
	w.sim.TakeSecrets("new")
	w.provider = says{&rotating{oauth.Client{Dial: w.sim.Dial}, w.sim.TokenURL()}, sdk.Policy{
		AccessLifetime: 20 * time.Minute, Sliding: true, Rotates: config.Dialect == brokersim.Saxo, BeforeExpiry: 5 * time.Minute, ClientFirst: providerSays,
	}}
	w.accounts[0].ClientFirst = accountSays
	w.configured("old", "new")
	w.first = w.sim.Grant("one")
	rec := store.Record{Account: "one", Token: sdk.Token{
		AccessToken: sdk.NewSecret(w.first.AccessToken), RefreshToken: sdk.NewSecret(w.first.RefreshToken), IssuedAt: time.Now(), Lifetime: 20 * time.Minute,
	}}
	if _, err := w.keeper.Import(t.Context(), rec, true); err != nil {
		t.Fatal(err)
	}
	w.gen = w.start()
	return w
}

// configured has the account's secrets as its client has them at the broker.
func (w *secretsAt) configured(secrets ...string) {
	w.has(secrets...)
	w.accounts[0].ClientID = w.sim.Config().ClientID
	w.restart()
}

// again is a new run, with those secrets.
func (w *secretsAt) again(secrets ...string) {
	_ = w.gen.end()
	w.configured(secrets...)
	w.gen = w.start()
}

// posted fails the test unless the first refresh token has come that often.
func (w *secretsAt) posted(when string, want int) {
	w.t.Helper()
	synctest.Wait()
	if got := w.sim.Uses(w.first.RefreshToken); got != want {
		w.t.Errorf("%s: the broker saw its refresh token %d times, want %d", when, got, want)
	}
}

// stands fails the test unless the account says why it waits, and what to do.
func (w *secretsAt) stands(when string) {
	w.t.Helper()
	s := w.status("one")
	h := s.Record.Health
	if s.Record.Version != 2 || h.Failures == 0 || h.LastKind != sdk.KindInvalidClient || !s.AmbiguousSince.IsZero() || !s.Due.IsZero() {
		w.t.Errorf("%s: version %d, due %s, %+v", when, s.Record.Version, s.Due, h)
	}
	for _, want := range []string{"may have used up the refresh token", "tokenkeeper refresh one --force", "tokenkeeper reload"} {
		if !strings.Contains(h.LastError, want) {
			w.t.Errorf("%s: %q is not in %s", when, want, h.LastError)
		}
	}
}

// A broker that takes the refresh token before it looks at the client sees it once: not in
// the hours after that, nor after a restart, nor because somebody asks. Consumers keep the
// access token that they have.
func TestBrokerThatTakesTheTokenFirstSeesItOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSecretsAt(t, brokersim.Config{Dialect: brokersim.Saxo, SpendsFirst: true}, false, false)
		stop := w.watch()
		time.Sleep(16 * time.Minute)
		w.posted("at its turn", 1)
		w.stands("at its turn")
		if !w.sim.AccessValid(w.first.AccessToken) {
			t.Error("its access token is dead")
		}
		if _, err := w.keeper.Refresh(t.Context(), "one", false); err == nil || !strings.Contains(err.Error(), "tokenkeeper refresh one --force") {
			t.Errorf("somebody asks: %v", err)
		}
		time.Sleep(10 * time.Hour)
		w.posted("for ten hours", 1)
		if s := w.status("one"); s.Waiting != promise.Client || s.State != refresh.Expired {
			t.Errorf("%s, and waits because of %q", s.State, s.Waiting)
		}
		w.again("old", "new")
		time.Sleep(2 * time.Hour)
		w.posted("after a restart", 1)
		w.stands("after a restart")
		_ = w.gen.end()
		w.gen = w.start()
		time.Sleep(2 * time.Hour)
		w.posted("after a restart of the process", 1)
		if n := w.count(event.RefreshFailed); n != 2 {
			t.Errorf("told %d times, want once in each run", n)
		}
		if n := w.count(event.Ambiguous); n != 0 {
			t.Errorf("called ambiguous %d times", n)
		}
		stop()
		w.met()
		if n := len(w.sim.Reused()); n != 0 {
			t.Errorf("%d tokens were spent twice", n)
		}
		_ = w.gen.end()
	})
}

// Whoever says that it is to be sent has it sent once, with the next secret: by insisting,
// or by other secrets. At a broker that looks at the client first nothing is lost.
func TestNextSecretOnAPersonsWord(t *testing.T) {
	for name, word := range map[string]func(*secretsAt){
		"insists": func(w *secretsAt) {
			if _, err := w.keeper.Refresh(w.t.Context(), "one", true); err != nil {
				w.t.Error(err)
			}
		},
		"insists after a restart": func(w *secretsAt) {
			w.again("old", "new")
			synctest.Wait()
			if _, err := w.keeper.Refresh(w.t.Context(), "one", true); err != nil {
				w.t.Error(err)
			}
		},
		"turns the list round": func(w *secretsAt) { w.again("new", "old"); time.Sleep(time.Second) },
		"takes the old out":    func(w *secretsAt) { w.again("new"); time.Sleep(time.Second) },
		"says that it may": func(w *secretsAt) {
			w.accounts[0].ClientFirst = true
			w.again("old", "new")
			time.Sleep(time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newSecretsAt(t, brokersim.Config{Dialect: brokersim.Saxo}, false, false)
				time.Sleep(16 * time.Minute)
				w.posted("at its turn", 1)
				word(w)
				w.posted("then", 2)
				if s := w.status("one"); s.Record.Version != 3 || s.State != refresh.Valid || s.Record.Health.Failures != 0 {
					t.Errorf("version %d, %s, %+v", s.Record.Version, s.State, s.Record.Health)
				}
				time.Sleep(50 * time.Minute)
				synctest.Wait()
				if c := w.sim.Account("one"); c.Refreshes != 4 || c.Refused != 1 || len(w.sim.Reused()) != 0 {
					t.Errorf("later: %+v", c)
				}
				_ = w.gen.end()
			})
		})
	}
}

// One that is insisted on and refused again stands as before, with the one after it next.
func TestNextSecretIsRefusedToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSecretsAt(t, brokersim.Config{Dialect: brokersim.Saxo}, false, false)
		w.sim.TakeSecrets("third")
		time.Sleep(16 * time.Minute)
		if _, err := w.keeper.Refresh(t.Context(), "one", true); err == nil || !strings.Contains(err.Error(), "--force") {
			t.Errorf("the second: %v", err)
		}
		time.Sleep(5 * time.Hour)
		w.posted("with both", 2)
		w.stands("with both")
		w.again("old", "new", "fourth")
		time.Sleep(5 * time.Hour)
		w.posted("with three, of which the last is tried", 3)
		w.stands("with three")
		w.again("old", "new", "fourth", "third")
		time.Sleep(time.Second)
		w.posted("with four", 4)
		if s := w.status("one"); s.Record.Version != 3 {
			t.Errorf("version %d: %+v", s.Record.Version, s.Record.Health)
		}
		_ = w.gen.end()
	})
}

// diesAnswered is a process that is killed with the broker's answer in its spool.
type diesAnswered struct {
	says
	kill func()
}

func (p diesAnswered) Refresh(ctx context.Context, req sdk.RefreshRequest) (sdk.Token, error) {
	token, err := p.says.Refresh(ctx, req)
	p.kill()
	return token, err
}

// What is noted as refused after a death are the secrets that the client had then: with
// others nobody has to insist.
func TestOtherSecretsAfterADeath(t *testing.T) {
	for name, tt := range map[string]struct {
		secrets []string
		posts   int
	}{"the same": {[]string{"old", "new"}, 1}, "others": {[]string{"new", "old"}, 2}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newSecretsAt(t, brokersim.Config{Dialect: brokersim.Saxo}, false, false)
				_ = w.gen.end()
				lives := w.provider.(says)
				var mortal atomic.Pointer[generation]
				w.provider = diesAnswered{lives, func() { mortal.Load().kill() }}
				w.restart()
				w.gen = w.start()
				mortal.Store(w.gen)
				time.Sleep(16 * time.Minute)
				_ = w.gen.died()
				w.posted("as it dies", 1)
				w.provider = lives
				w.configured(tt.secrets...)
				w.gen = w.start()
				synctest.Wait()
				if said := w.status("one").Record.Health.LastError; strings.Contains(said, "--force") != (tt.posts == 1) {
					t.Errorf("told: %s", said)
				}
				time.Sleep(5 * time.Minute)
				w.posted("in the next run", tt.posts)
				if s := w.status("one"); s.Record.Version != uint64(tt.posts)+1 {
					t.Errorf("version %d, %+v", s.Record.Version, s.Record.Health)
				}
				_ = w.gen.end()
			})
		})
	}
}

// Where the broker is said to look at the client first by now, what is refused again is sent
// again by itself, and that is what people are told.
func TestRefusedReplayIsToldToGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSecretsAt(t, brokersim.Config{Dialect: brokersim.Saxo}, false, false)
		w.sim.TakeSecrets("third")
		time.Sleep(16 * time.Minute)
		w.accounts[0].ClientFirst = true
		w.again("old", "new")
		time.Sleep(time.Second)
		w.posted("as it is said", 2)
		if said := w.status("one").Record.Health.LastError; !strings.Contains(said, "sends the refresh token again by itself, with growing pauses") ||
			!strings.Contains(said, "tokenkeeper reload") || strings.Contains(said, "does not send it again") {
			t.Errorf("told: %s", said)
		}
		w.sim.TakeSecrets("old")
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		if s := w.status("one"); s.State != refresh.Valid || s.Record.Health.Failures != 0 {
			t.Errorf("it was not sent again: %s, %+v", s.State, s.Record.Health)
		}
		_ = w.gen.end()
	})
}

// With a single secret what the broker replaces is sent again after each pause.
func TestSingleSecretGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSecretsAt(t, brokersim.Config{Dialect: brokersim.Saxo}, false, false)
		w.again("old")
		time.Sleep(18 * time.Minute)
		synctest.Wait()
		if n := w.sim.Uses(w.first.RefreshToken); n < 2 {
			t.Errorf("it came %d times", n)
		}
		w.sim.TakeSecrets("old")
		time.Sleep(16 * time.Minute)
		synctest.Wait()
		if s := w.status("one"); s.State != refresh.Valid || len(w.sim.Reused()) != 0 {
			t.Errorf("%s, %+v", s.State, s.Record.Health)
		}
		_ = w.gen.end()
	})
}

// A spent token that is sent again on a person's word ends the login, and what is told
// says of what.
func TestTokenThatWasTakenWithARefusedSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSecretsAt(t, brokersim.Config{Dialect: brokersim.Saxo, SpendsFirst: true}, false, false)
		stop := w.watch()
		time.Sleep(16 * time.Minute)
		_, err := w.keeper.Refresh(t.Context(), "one", true)
		if s := w.status("one"); err == nil || s.State != refresh.NeedsLogin {
			t.Errorf("%s: %v", s.State, err)
		}
		synctest.Wait()
		stop()
		if !slices.ContainsFunc(w.events, func(e event.Event) bool {
			return e.Type == event.NeedsLogin && strings.Contains(e.Message, "refused a client secret that came with it")
		}) {
			t.Errorf("told: %+v", w.events)
		}
		_ = w.gen.end()
	})
}

// Where nothing is spent, or somebody says that the client is looked at first, the next
// secret goes at once.
func TestNextSecretGoesAtOnce(t *testing.T) {
	for name, tt := range map[string]struct {
		config            brokersim.Config
		provider, account bool
	}{
		"the provider says so":   {config: brokersim.Config{Dialect: brokersim.Saxo}, provider: true},
		"the account says so":    {config: brokersim.Config{Dialect: brokersim.Saxo}, account: true},
		"no token is ever spent": {config: brokersim.Config{Dialect: brokersim.Schwab}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newSecretsAt(t, tt.config, tt.provider, tt.account)
				time.Sleep(16 * time.Minute)
				synctest.Wait()
				if s := w.status("one"); s.Record.Version != 3 || s.Record.Health.Failures != 0 {
					t.Errorf("version %d, %+v", s.Record.Version, s.Record.Health)
				}
				w.again("old", "new")
				time.Sleep(15 * time.Minute)
				synctest.Wait()
				if c := w.sim.Account("one"); c.Posts != 3 || c.Refused != 1 {
					t.Errorf("the one that worked does not go first: %+v", c)
				}
				_ = w.gen.end()
			})
		})
	}
}
