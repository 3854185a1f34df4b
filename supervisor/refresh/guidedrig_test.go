package refresh_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/login"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// guide is a provider that guides logins in any shape, and is no Authorizer.
type guide struct {
	*guidedBroker
	shapes []sdk.LoginShape
	every  time.Duration
	lasts  time.Duration // 0: it does not say
	ends   time.Time     // if set, it says that instead

	mu    sync.Mutex
	begun int
	says  []error // of the next EndLogins; nil, and after the last: the token
	asked []asked
}

// guidedBroker hides that the broker is an Authorizer.
type guidedBroker struct{ b *broker }

func (g *guidedBroker) Describe(ctx context.Context) (sdk.Description, error) {
	return g.b.Describe(ctx)
}
func (g *guidedBroker) Refresh(ctx context.Context, req sdk.RefreshRequest) (sdk.Token, error) {
	return g.b.Refresh(ctx, req)
}

// authorizingGuide is both.
type authorizingGuide struct {
	*guide
	sdk.Authorizer
}

type asked struct {
	at      time.Time
	attempt string
	login   sdk.Login
	given   string
}

func (g *guide) Describe(ctx context.Context) (sdk.Description, error) {
	d, err := g.guidedBroker.Describe(ctx)
	d.Logins = g.shapes
	return d, err
}

func (g *guide) BeginLogin(_ context.Context, req sdk.BeginLoginRequest) (sdk.Login, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.begun++
	l := sdk.Login{
		Shape: req.Shape, Address: "https://broker.invalid/" + string(req.Shape), Instructions: "Do as it says.", PollEvery: g.every,
		Private: map[string]sdk.Secret{"device_code": sdk.NewSecret(fmt.Sprintf("device-%d", g.begun))},
	}
	switch req.Shape {
	case sdk.LoginDevice:
		l.UserCode = "WDJB-MJHT"
	case sdk.LoginPasteAddress:
		l.Address += "?state=" + req.State
	}
	if g.lasts > 0 {
		l.Expires = time.Now().Add(g.lasts)
	}
	if !g.ends.IsZero() {
		l.Expires = g.ends
	}
	return l, nil
}

func (g *guide) EndLogin(ctx context.Context, req sdk.EndLoginRequest) (sdk.Token, error) {
	g.mu.Lock()
	g.asked = append(g.asked, asked{time.Now(), req.Attempt.ID, req.Login, req.Given.Reveal()})
	g.mu.Unlock()
	return g.b.answer(ctx, req.Account.Name, func(f fault, die func(window) bool) ([]byte, error) {
		g.mu.Lock()
		var says error
		if len(g.says) > 0 {
			says, g.says = g.says[0], g.says[1:]
		}
		g.mu.Unlock()
		if says != nil {
			if die(sent) {
				return nil, errKilled
			}
			return nil, says
		}
		g.b.mu.Lock()
		t := g.b.rotate(req.Account.Name)
		t.IDToken = sdk.NewSecret(g.b.who)
		g.b.mu.Unlock()
		if die(sent) {
			return nil, errKilled
		}
		return encodeAnswer(t), nil
	})
}

// asks are the EndLogins so far.
func (g *guide) asks() []asked {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]asked(nil), g.asked...)
}

func (g *guide) say(errs ...error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.says = append(g.says, errs...)
}

var (
	pending  = &sdk.Error{Kind: sdk.KindPending, Message: "not yet", OAuthError: "authorization_pending", HTTPStatus: 400}
	slowDown = &sdk.Error{Kind: sdk.KindPending, Message: "slower", OAuthError: "slow_down", HTTPStatus: 400}
	declined = &sdk.Error{Kind: sdk.KindInvalidGrant, Message: "access_denied", OAuthError: "access_denied", HTTPStatus: 400}
)

// guidedRig is a rig whose provider guides logins of these shapes.
func guidedRig(t *testing.T, names []string, shapes ...sdk.LoginShape) (*rig, *guide) {
	r := newRig(t, time.Hour, names...)
	g := &guide{guidedBroker: &guidedBroker{r.broker}, shapes: shapes, every: 5 * time.Second}
	r.provider = g
	return r, g
}

func (r *rig) begin(account string, shape sdk.LoginShape) login.Begun {
	r.t.Helper()
	l, err := r.keeper.BeginLogin(r.t.Context(), account, shape, event.Caller{UID: 7})
	if err != nil {
		r.t.Fatal(err)
	}
	return l
}

func (r *rig) await(l login.Begun) (store.Record, error) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Hour)
	defer cancel()
	return r.keeper.AwaitLogin(ctx, "one", l.ID)
}

// isGuided says whether a login is open whose end is handed in.
func isGuided(r *rig, name string) bool {
	guided, _ := r.keeper.IsGuided(name)
	return guided
}
