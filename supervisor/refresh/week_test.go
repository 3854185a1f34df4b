package refresh_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/sdk/oauth"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/keepalive"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// This file lives a week of each kind of grant with a simulated broker of that kind
// and the fault that bites there.

// rotating is a provider whose broker gives refresh tokens that work once: Saxo.
type rotating struct {
	http oauth.Client
	url  string
}

func (*rotating) Describe(context.Context) (sdk.Description, error) {
	return sdk.Description{Name: "fake", Policy: sdk.Policy{AccessLifetime: 20 * time.Minute, Sliding: true, Rotates: true, BeforeExpiry: 5 * time.Minute}}, nil
}

func (p *rotating) Refresh(ctx context.Context, req sdk.RefreshRequest) (sdk.Token, error) {
	return p.http.Refresh(ctx, oauth.Endpoint{TokenURL: p.url, AuthStyle: oauth.AuthInHeader}, req)
}

// renewable is one whose access token renews itself: Tradovate.
type renewable struct {
	sdk.NoRefresh
	http oauth.Client
	url  string
}

func (*renewable) Describe(context.Context) (sdk.Description, error) {
	return sdk.Description{Name: "fake", Policy: sdk.Policy{AccessLifetime: 80 * time.Minute, BeforeExpiry: 15 * time.Minute}}, nil
}

func (p *renewable) Renew(ctx context.Context, req sdk.RenewRequest) (sdk.Token, error) {
	return p.http.Renew(ctx, oauth.Endpoint{
		TokenURL: p.url, AuthStyle: oauth.AuthNone, Requests: oauth.Requests{Encoding: oauth.EncodingQuery},
		Answers: oauth.Answers{Names: map[string][]string{"access_token": {"accessToken"}}, ExpiresAt: "expirationTime"},
		Errors:  oauth.Errors{Code: "errorText"},
	}, req)
}

// morning is one with a login each day: Upstox.
type morning struct{ sdk.NoRefresh }

func (morning) Describe(context.Context) (sdk.Description, error) {
	return sdk.Description{Name: "fake", Policy: sdk.Policy{
		AccessLifetime: 24 * time.Hour, Access: sdk.Deadline{Clock: sdk.TimeOfDay{Hour: 3, Minute: 30, Zone: "Asia/Kolkata"}, Certain: true},
	}}, nil
}

// idling is one whose sessions die of idleness: Interactive Brokers.
type idling struct {
	sdk.NoRefresh
	http http.Client
	url  string
}

func (*idling) Describe(context.Context) (sdk.Description, error) {
	return sdk.Description{Name: "fake", KeepaliveEvery: time.Minute, Policy: sdk.Policy{AccessLifetime: 24 * time.Hour}}, nil
}

func (p *idling) KeepAlive(ctx context.Context, req sdk.KeepaliveRequest) (sdk.Life, error) {
	beat, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, http.NoBody)
	if err != nil {
		return "", err
	}
	beat.Header.Set("Authorization", "Bearer "+req.Token.AccessToken.Reveal())
	resp, err := p.http.Do(beat)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	var answer struct {
		Iserver struct {
			AuthStatus struct{ Authenticated, Competing bool }
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return "", err
	}
	switch s := answer.Iserver.AuthStatus; {
	case s.Competing:
		return sdk.Competing, nil
	case s.Authenticated:
		return sdk.Alive, nil
	}
	return sdk.Gone, nil
}

// kind of grant, and what its week is like.
type kind struct {
	name, broker string
	config       brokersim.Config
	provider     func(*brokersim.Server) sdk.Provider
	// bites is the fault of this kind, met in each day at noon.
	bites string
	fault func(w *week)
	// daily: the broker demands a login each day, and otherwise one at the beginning;
	// mints: none at all.
	// gap is for how long of a day consumers may have no token that works while the
	// broker has one.
	daily, mints bool
	gap          time.Duration
	// repeats are tokens that the fault makes come twice, and that the broker takes.
	repeats bool
}

func kinds(t *testing.T) []kind {
	public, _, err := ed25519.GenerateKey(nil) // of a client that never comes: logins are imported
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return []kind{
		{
			name: "refresh token, single use", broker: "Saxo", config: brokersim.Config{Dialect: brokersim.Saxo},
			provider: func(s *brokersim.Server) sdk.Provider {
				return &rotating{oauth.Client{Dial: s.Dial}, s.TokenURL()}
			},
			bites: "killed between the answer and the disk",
			fault: (*week).killBeforeTheStore,
		},
		{
			name: "renews itself", broker: "Tradovate", config: brokersim.Config{Dialect: brokersim.Tradovate},
			provider: func(s *brokersim.Server) sdk.Provider {
				return &renewable{http: oauth.Client{Dial: s.Dial}, url: s.RenewURL()}
			},
			bites: "the answer to a renewal is lost",
			fault: func(w *week) {
				w.sim.Inject(brokersim.LostAnswer().At(brokersim.AfterProcessing))
			}, repeats: true,
		},
		{
			name: "a login each morning", broker: "Upstox", config: brokersim.Config{Dialect: brokersim.Upstox},
			provider: func(*brokersim.Server) sdk.Provider { return morning{} },
			bites:    "started again", fault: (*week).again, daily: true,
		},
		{
			name: "a session kept alive", broker: "IBKR", config: brokersim.Config{Dialect: brokersim.IBKR, ClientKey: public},
			provider: func(s *brokersim.Server) sdk.Provider {
				return &idling{http: http.Client{Transport: &http.Transport{DialContext: s.Dial, DisableKeepAlives: true}}, url: s.KeepaliveURL()}
			},
			bites: "the person logs in elsewhere",
			fault: func(w *week) { w.sim.Grant("main") }, daily: true, gap: 11 * time.Minute,
		},
		{
			name: "minted from a key", broker: "IBKR", config: brokersim.Config{Dialect: brokersim.IBKR, ClientKey: &key.PublicKey},
			provider: func(s *brokersim.Server) sdk.Provider { return newSigning(s, key) },
			bites:    "the answer is lost, and its token has ended the one before",
			fault:    (*week).mintLost, mints: true,
		},
		{
			name: "minted with a TOTP", broker: "Dhan", config: brokersim.Config{Dialect: brokersim.Dhan},
			provider: func(s *brokersim.Server) sdk.Provider { return newOneTime(s) },
			bites:    "killed between the answer and the disk",
			fault:    (*week).killBeforeTheStore, mints: true,
		},
	}
}

// week is one that is lived through.
type week struct {
	*rig
	kind   kind
	sim    *brokersim.Server
	beats  *keepalive.Beats
	gen    *generation
	stop   func()
	logins int
	gone   time.Duration // consumers had no token that works, and the broker had one
	faults int
}

// TestWeekOfEachKind lives a week of each kind of grant, and prints what it was like.
// No token is spent twice, consumers have one that works whenever the broker has, and
// a person logs in only when the broker demands it.
func TestWeekOfEachKind(t *testing.T) {
	days := 7
	if testing.Short() {
		days = 1
	}
	rows := []string{"", fmt.Sprintf("%-26s %-10s %9s %7s %6s  %s", "kind", "broker", "tokens", "logins", "gap", "faults survived")}
	for _, k := range kinds(t) {
		t.Run(k.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWeek(t, k)
				w.live(days)
				c, logins := w.sim.Account("main"), 1
				if k.daily {
					logins += days
				}
				got := c.Refreshes
				if k.mints {
					logins, got = 0, c.Logins
				}
				if w.logins != logins || w.gone > time.Duration(days)*k.gap || w.faults != days {
					t.Errorf("%d logins, want %d; %s without a token that works, at most %s a day; %d faults", w.logins, logins, w.gone, k.gap, w.faults)
				}
				if n := len(w.sim.Reused()); n > 0 && !k.repeats {
					t.Errorf("%d tokens were spent twice: %v", n, w.sim.Reused())
				}
				if v := w.sim.Violations(); len(v) > 0 {
					t.Errorf("the broker complains: %v", v)
				}
				rows = append(rows, fmt.Sprintf("%-26s %-10s %9d %7d %6s  %d x %s", k.name, k.broker, got, w.logins, w.gone.Round(time.Minute), w.faults, k.bites))
			})
		})
	}
	t.Log(strings.Join(rows, "\n"))
}

func newWeek(t *testing.T, k kind) *week {
	k.config.Now = time.Now
	w := &week{rig: newRig(t, time.Hour), kind: k, sim: brokersim.New(k.config)}
	t.Cleanup(w.sim.Close)
	c := w.sim.Config()
	w.provider = k.provider(w.sim)
	w.accounts = []refresh.Account{{
		Account: sdk.Account{Name: "main", ClientID: c.ClientID, ClientSecret: sdk.NewSecret(c.ClientSecret)}, Timeout: 30 * time.Second, MaxFailures: 5,
	}}
	w.restart()
	w.begin()
	synctest.Wait()
	if !k.mints {
		w.logIn()
	}
	return w
}

// begin starts the provider's process and what uses it.
func (w *week) begin() {
	w.gen = w.start()
	w.beats = keepalive.New(keepalive.Config{
		Provider: "fake", Names: []string{"main"}, Accounts: w.keeper, Events: w.bus, Log: w.log, Wall: w.wall,
	})
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan struct{})
	beats, remote := w.beats, w.gen.remote
	go func() { defer close(done); beats.Run(ctx, remote) }()
	w.stop = func() { cancel(); <-done }
}

// again ends the provider's process and the supervisor, and starts both.
func (w *week) again() {
	w.stop()
	if err := w.gen.end(); err != nil {
		w.t.Error(err)
	}
	w.restart()
	w.begin()
}

// killBeforeTheStore kills both when an answer stands in the spool and nowhere else.
func (w *week) killBeforeTheStore() {
	before := w.record("main").Version
	w.sim.Inject(brokersim.Delay(5 * time.Second))
	asked, cancel := context.WithCancel(w.t.Context())
	done := make(chan struct{})
	keeper := w.keeper
	go func() {
		defer close(done)
		_, _ = keeper.Refresh(asked, "main", true)
	}()
	time.Sleep(time.Second)
	w.stop()
	w.gen.cut()
	if err := w.gen.died(); !errors.Is(err, sdk.ErrConnection) {
		w.t.Error(err)
	}
	time.Sleep(10 * time.Second) // the process hears it out
	synctest.Wait()
	cancel()
	<-done
	if got := w.record("main").Version; got != before {
		w.t.Errorf("v%d is stored already, after v%d", got, before)
	}
	w.gen.kill()
	w.restart()
	w.begin()
	synctest.Wait()
	if got := w.record("main").Version; got != before+1 {
		w.t.Errorf("v%d after v%d", got, before)
	}
}

// logIn is a person who brings the tokens of a new login.
func (w *week) logIn() {
	g := w.sim.Grant("main")
	token := sdk.Token{AccessToken: sdk.NewSecret(g.AccessToken), RefreshToken: sdk.NewSecret(g.RefreshToken), IssuedAt: g.IssuedAt, Lifetime: g.ExpiresIn}
	if g.RefreshToken != "" {
		token.RefreshLifetime = g.RefreshExpiresIn
	}
	if _, err := w.keeper.Import(w.t.Context(), store.Record{Account: "main", Token: token}, true); err != nil {
		w.t.Fatal(err)
	}
	w.logins++
}

// live goes through the days minute by minute. A person sees within ten minutes that
// a login is needed, or that somebody else has the session, and logs in.
func (w *week) live(days int) {
	called := 0
	for minute := range days * 24 * 60 {
		if minute%(24*60) == 12*60 {
			w.kind.fault(w)
			w.faults++
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		s, session := w.status("main"), w.session()
		if current, _ := w.sim.Current("main"); current.AccessToken != "" && !w.sim.AccessValid(s.Record.Token.AccessToken.Reveal()) {
			w.gone += time.Minute
		}
		if s.State != refresh.NeedsLogin && session != sdk.Competing {
			called = 0
		} else if called++; called == 10 {
			w.logIn()
		}
	}
	w.stop()
	if err := w.gen.end(); err != nil {
		w.t.Error(err)
	}
}

// session is how the newest token's session is.
func (w *week) session() sdk.Life {
	s, _ := w.beats.Session("main")
	if s.Version != w.record("main").Version {
		return ""
	}
	return s.Life
}
