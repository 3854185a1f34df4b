package refresh_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// registered is a broker that looks at the secret of its client first, and its provider
// says so.
type registered struct {
	*broker
	refuses *sdk.Error

	mu   sync.Mutex
	one  string   // the secret that it takes
	seen []string // those that came
}

func unknownClient() *sdk.Error {
	return &sdk.Error{Kind: sdk.KindInvalidClient, Message: "the client is not known", OAuthError: "invalid_client", HTTPStatus: 401}
}

func (b *registered) Describe(ctx context.Context) (sdk.Description, error) {
	d, err := b.broker.Describe(ctx)
	d.Policy.ClientFirst = true
	return d, err
}

func (b *registered) takes(secret string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.one = secret
}

// presented are the secrets that came since it was asked last.
func (b *registered) presented() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	seen := b.seen
	b.seen = nil
	return seen
}

func (b *registered) looksAt(a sdk.Account) (known bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	secret := a.ClientSecret.Reveal()
	b.seen = append(b.seen, secret)
	return secret == b.one
}

func (b *registered) Refresh(ctx context.Context, req sdk.RefreshRequest) (sdk.Token, error) {
	if !b.looksAt(req.Account) {
		b.next(req.Account.Name, fault{refuse: b.refuses})
	}
	return b.broker.Refresh(ctx, req)
}

func (b *registered) Exchange(ctx context.Context, req sdk.ExchangeRequest) (sdk.Token, error) {
	if !b.looksAt(req.Account) {
		return sdk.Token{}, b.refuses
	}
	return b.broker.Exchange(ctx, req)
}

// newSecretsRig is a rig whose account has those secrets, of which the broker takes one.
func newSecretsRig(t *testing.T, takes string, secrets ...string) (*rig, *registered) {
	r := newRig(t, 20*time.Minute, "one")
	b := &registered{broker: r.broker, refuses: unknownClient(), one: takes}
	r.provider = b
	r.has(secrets...)
	return r, b
}

// has gives the account its secrets, as a new configuration does.
func (r *rig) has(secrets ...string) {
	a := &r.accounts[0]
	a.ClientID, a.ClientSecret, a.OtherSecrets = "me", sdk.NewSecret(secrets[0]), nil
	for _, s := range secrets[1:] {
		a.OtherSecrets = append(a.OtherSecrets, sdk.NewSecret(s))
	}
	r.restart()
}

func wantPresented(t *testing.T, b *registered, when string, want ...string) {
	t.Helper()
	synctest.Wait()
	if got := b.presented(); !slices.Equal(got, want) {
		t.Errorf("%s: the broker saw %q, want %q", when, got, want)
	}
}

// A new secret is written before the old one, whenever the broker begins to take it: the
// one that it took last goes first, after a restart, too, and the other one as soon as
// the broker says that it does not know the client.
func TestClientSecretIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, b := newSecretsRig(t, "old", "new", "old")
		g := r.start()
		time.Sleep(16 * time.Minute)
		wantPresented(t, b, "the new one is not known yet", "new", "old")
		if s := r.status("one"); s.Record.Version != 2 || s.Record.Health.Failures != 0 {
			t.Errorf("version %d, %+v", s.Record.Version, s.Record.Health)
		}
		time.Sleep(15 * time.Minute)
		wantPresented(t, b, "the next time", "old")
		_ = g.end()
		r.restart()
		g = r.start()
		time.Sleep(15 * time.Minute)
		wantPresented(t, b, "after a restart", "old")
		if got := r.keeper.ClientSecret("one").Reveal(); got != "old" {
			t.Errorf("its consumers get %q", got)
		}
		b.takes("new")
		time.Sleep(15 * time.Minute)
		wantPresented(t, b, "the old one has ended", "old", "new")
		time.Sleep(15 * time.Minute)
		wantPresented(t, b, "from then on", "new")
		if got := r.keeper.ClientSecret("one").Reveal(); got != "new" {
			t.Errorf("its consumers get %q", got)
		}
		if s := r.status("one"); s.Record.Health.Failures != 0 || s.State != refresh.Valid {
			t.Errorf("%s, %+v", s.State, s.Record.Health)
		}
		_ = g.end()
	})
}

// What does not say that the client is not known may have used the refresh token up, and
// says nothing of the secret.
func TestOtherAnswersSayNothingOfTheSecret(t *testing.T) {
	for name, refuses := range map[string]*sdk.Error{
		"a page":               {Kind: sdk.KindInvalidClient, Message: "HTTP 401", HTTPStatus: 401},
		"no answer":            {Kind: sdk.KindAmbiguous, Message: "the answer was lost"},
		"unread":               {Kind: sdk.KindAmbiguous, Message: "nobody could read the answer", HTTPStatus: 401, Unread: true},
		"it is busy":           {Kind: sdk.KindTransient, Message: "HTTP 503", HTTPStatus: 503},
		"it may not do this":   {Kind: sdk.KindInvalidClient, Message: "unauthorized", OAuthError: "unauthorized_client", HTTPStatus: 400},
		"it refuses the grant": {Kind: sdk.KindInvalidGrant, Message: "invalid_grant", OAuthError: "invalid_grant", HTTPStatus: 400},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, b := newSecretsRig(t, "none of ours", "first", "second")
				b.refuses = refuses
				g := r.start()
				time.Sleep(2 * time.Hour)
				synctest.Wait()
				if got := b.presented(); len(got) == 0 || slices.Contains(got, "second") {
					t.Errorf("the broker saw %q", got)
				}
				_ = g.end()
			})
		})
	}
}

// Where none is known each is presented once an hour, and the failure is told; the first
// that is known in time keeps the login, and so does another list.
func TestNoClientSecretIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, b := newSecretsRig(t, "none of ours", "first", "second")
		g := r.start()
		time.Sleep(16 * time.Minute)
		wantPresented(t, b, "at its turn", "first", "second")
		if h := r.status("one").Record.Health; h.Failures != 1 || h.LastKind != sdk.KindInvalidClient {
			t.Errorf("%+v", h)
		}
		time.Sleep(58 * time.Minute)
		wantPresented(t, b, "for an hour")
		time.Sleep(2 * time.Minute)
		wantPresented(t, b, "then", "first", "second")
		b.takes("second")
		time.Sleep(58 * time.Minute)
		wantPresented(t, b, "though one works by now")
		time.Sleep(2 * time.Minute)
		wantPresented(t, b, "after another hour", "first", "second")
		if s := r.status("one"); s.State != refresh.Valid || s.Record.Health.Failures != 0 {
			t.Errorf("%s, though one works: %+v", s.State, s.Record.Health)
		}
		b.takes("third")
		time.Sleep(15 * time.Minute)
		wantPresented(t, b, "when it has ended, too", "second")
		_ = g.end()
		r.has("second", "third") // their references were read anew
		g = r.start()
		time.Sleep(time.Minute)
		wantPresented(t, b, "as a new configuration has them", "second", "third")
		_ = g.end()
	})
}

// A person insists on what rests, and what is taken then rests no more.
func TestPersonInsistsOnARefusedSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, b := newSecretsRig(t, "none of ours", "first", "second")
		g := r.start()
		time.Sleep(16 * time.Minute)
		wantPresented(t, b, "at its turn", "first", "second")
		b.takes("first")
		if _, err := r.keeper.Refresh(t.Context(), "one", true); err != nil {
			t.Error(err)
		}
		wantPresented(t, b, "as somebody insists", "first")
		time.Sleep(16 * time.Minute)
		wantPresented(t, b, "the next time", "first")
		_ = g.end()
	})
}

// A login whose code was not taken is over; the next one presents another secret.
func TestLoginPresentsAnotherSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, b := newSecretsRig(t, "second", "first", "second")
		g := r.start()
		for _, want := range []string{"first", "second"} {
			_, err := r.keeper.CompleteLogin(t.Context(), "one", r.beginLogin("one"), "code-one")
			if (err == nil) != (want == "second") || err != nil && !strings.Contains(err.Error(), "begin again") {
				t.Errorf("with the %s: %v", want, err)
			}
			wantPresented(t, b, want, want)
		}
		_ = g.end()
	})
}

// What was refused stands over a new run, and is told there as what it is: also if the store
// has another failure of the account, and if the process died when somebody insisted.
func TestRefusedClientIsToldAfterARestart(t *testing.T) {
	for name, meanwhile := range map[string]func(*rig, *generation){
		"it failed otherwise before": func(r *rig, g *generation) { _ = g.end() },
		"the process died when somebody insisted": func(r *rig, g *generation) {
			r.broker.next("one", fault{die: sent, kill: func() { g.kill() }})
			if _, err := r.keeper.Refresh(r.t.Context(), "one", true); err == nil {
				r.t.Error("it was refreshed")
			}
			_ = g.died()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 20*time.Minute, "one")
				r.has("old", "new")
				if strings.HasPrefix(name, "it failed") {
					r.broker.next("one", fault{refuse: unavailable})
				}
				r.broker.next("one", fault{refuse: unknownClient()})
				g := r.start()
				time.Sleep(19 * time.Minute)
				synctest.Wait()
				for _, when := range []string{"in this run", "in the next"} {
					h := r.status("one").Record.Health
					if h.LastKind != sdk.KindInvalidClient || h.Failures == 0 || !strings.Contains(h.LastError, "tokenkeeper refresh one --force") {
						t.Errorf("%s: %+v", when, h)
					}
					if when == "in this run" {
						meanwhile(r, g)
						r.restart()
						g = r.start()
						time.Sleep(2 * time.Hour)
						synctest.Wait()
					}
				}
				if s := r.status("one"); s.Waiting != promise.Client || s.Record.Version != 1 {
					t.Errorf("version %d waits because of %q", s.Record.Version, s.Waiting)
				}
				_ = g.end()
			})
		})
	}
}
