package store

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

// Login is a login that a person has begun, and that waits for what the broker gives
// him, or for his word to the broker.
type Login struct {
	Account string
	// State names the login: the broker sends it back beside the code. URL is the
	// address at which the person logs in, and holds it.
	State, URL string
	// Verifier is the code verifier of the address's code challenge (RFC 7636).
	Verifier sdk.Secret
	// Issuer is the authorization server; "": not known.
	Issuer string
	// At is when it was begun, By by whom, and Until when it is over by itself.
	At, Until time.Time
	By        event.Caller
	// GrantedTo is whom the token will be granted to, as the configuration said
	// when it was begun. Nobody knows the person yet.
	GrantedTo GrantedTo
	// Config is the fingerprint of the configuration that its address was made from.
	Config string
	// Guided is what a [sdk.LoginGuide] has made of it, which it needs to end it; of
	// no shape: it is the redirect of an [sdk.Authorizer], which ends with a code.
	Guided sdk.Login
	// Given is what a person has handed in for a guided one, while that is being
	// spent: after a death the same call is made again.
	Given sdk.Secret
}

// IsGuided says whether a [sdk.LoginGuide] ends it.
func (l Login) IsGuided() bool { return l.Guided.Shape != "" }

// loginLayout is a login as stored. It is written once, and so needs to keep nothing
// that a newer program has added.
type loginLayout struct {
	Account   string       `json:"account"`
	State     string       `json:"state"`
	URL       string       `json:"url"`
	Verifier  string       `json:"code_verifier"`
	Issuer    string       `json:"issuer,omitempty"`
	At        time.Time    `json:"at"`
	Until     time.Time    `json:"until"`
	By        event.Caller `json:"by"`
	GrantedTo GrantedTo    `json:"granted_to,omitzero"`
	Config    string       `json:"config,omitempty"`
	Guided    *guideLayout `json:"guided,omitempty"`
	Given     string       `json:"given,omitempty"`
	Sum       string       `json:"sum,omitempty"` // as in recordLayout
}

// guideLayout is a guided login as stored.
type guideLayout struct {
	Shape        sdk.LoginShape    `json:"shape"`
	Address      string            `json:"address,omitempty"`
	Instructions string            `json:"instructions,omitempty"`
	UserCode     string            `json:"user_code,omitempty"`
	Expires      time.Time         `json:"expires,omitzero"`
	PollEvery    time.Duration     `json:"poll_every,omitempty"`
	Private      map[string]string `json:"private,omitempty"`
}

func layOutGuide(l sdk.Login) *guideLayout {
	if l.Shape == "" {
		return nil
	}
	g := &guideLayout{
		Shape: l.Shape, Address: l.Address, Instructions: l.Instructions, UserCode: l.UserCode,
		Expires: utc(l.Expires), PollEvery: l.PollEvery, Private: map[string]string{},
	}
	for name, s := range l.Private {
		g.Private[name] = s.Reveal()
	}
	return g
}

func (g *guideLayout) login() sdk.Login {
	if g == nil {
		return sdk.Login{}
	}
	l := sdk.Login{
		Shape: g.Shape, Address: g.Address, Instructions: g.Instructions, UserCode: g.UserCode,
		Expires: moment.Known(g.Expires), PollEvery: g.PollEvery,
	}
	if len(g.Private) > 0 {
		l.Private = make(map[string]sdk.Secret, len(g.Private))
		for name, s := range g.Private {
			l.Private[name] = sdk.NewSecret(s)
		}
	}
	return l
}

func sealLogin(l Login) ([]byte, error) {
	b, err := json.Marshal(loginLayout{
		Account: l.Account, State: l.State, URL: l.URL, Verifier: l.Verifier.Reveal(), Issuer: l.Issuer,
		At: utc(l.At), Until: utc(l.Until), By: l.By, GrantedTo: l.GrantedTo, Config: l.Config,
		Guided: layOutGuide(l.Guided), Given: l.Given.Reveal(),
	})
	if err != nil {
		return nil, fmt.Errorf("the login of account %s can't be stored: %w", l.Account, err)
	}
	return sign(b), nil
}

// readLogin returns the login that stands under an account's key. One that can't be
// read is none: a person begins another.
func readLogin(account string, b []byte) (Login, bool) {
	var l loginLayout
	if b == nil || !checkSum(b) || json.Unmarshal(b, &l) != nil || l.Account != account || l.State == "" {
		return Login{}, false
	}
	return Login{
		Account: l.Account, State: l.State, URL: l.URL, Verifier: sdk.NewSecret(l.Verifier), Issuer: l.Issuer,
		At: moment.Known(l.At), Until: moment.Known(l.Until), By: l.By, GrantedTo: l.GrantedTo, Config: l.Config,
		Guided: l.Guided.login(), Given: sdk.NewSecret(l.Given),
	}, true
}

// PutLogin implements [Store].
func (e *engine) PutLogin(ctx context.Context, l Login) error {
	if err := checkName("an account", l.Account); err != nil {
		return err
	}
	if l.State == "" {
		return fmt.Errorf("a login of account %s has no state: its answer could not be told from another's", l.Account)
	}
	return e.write(ctx, l.Account, func(d draft) error { return d.putLogin(l) })
}

// putLogin is the rule of [Store.PutLogin].
func (d draft) putLogin(l Login) error {
	if open, ok := readLogin(l.Account, d.get(loginKey(l.Account))); ok && open.State != l.State && l.At.Before(open.Until) {
		return fmt.Errorf("account %s: a login was begun before, and is open: %w", l.Account, ErrConflict)
	}
	b, err := sealLogin(l)
	if err != nil {
		return err
	}
	d.put(loginKey(l.Account), b)
	return nil
}

// Login implements [Store].
func (e *engine) Login(ctx context.Context, account string) (l Login, ok bool, err error) {
	b, err := e.one(ctx, loginKey(account))
	if err != nil {
		return Login{}, false, fmt.Errorf("reading the open login of account %s: %w", account, err)
	}
	l, ok = readLogin(account, b)
	return l, ok, nil
}

// Logins implements [Store].
func (e *engine) Logins(ctx context.Context) (all []Login, err error) {
	if err = ctx.Err(); err == nil {
		err = e.read(func(r reader) {
			r.scan(prefixLogins, func(key string, value []byte) {
				if l, ok := readLogin(strings.TrimPrefix(key, prefixLogins), bytes.Clone(value)); ok {
					all = append(all, l)
				}
			})
		})
	}
	if err != nil {
		return nil, fmt.Errorf("listing the open logins: %w", err)
	}
	slices.SortFunc(all, func(a, b Login) int { return strings.Compare(a.Account, b.Account) })
	return all, nil
}

// DropLogin implements [Store].
func (e *engine) DropLogin(ctx context.Context, account, state string) error {
	if err := checkName("an account", account); err != nil {
		return err
	}
	return e.write(ctx, account, func(d draft) error { d.dropLogin(account, state); return nil })
}

// endGuided ends the login that an attempt has ended which brought a token.
func (d draft) endGuided(of Intent) {
	if of.Kind == spool.KindLogin {
		d.dropLogin(of.Account, of.Login)
	}
}

// dropLogin is the rule of [Store.DropLogin], of an announcement, and of a token.
func (d draft) dropLogin(account, state string) {
	if open, ok := readLogin(account, d.get(loginKey(account))); ok && open.State == state {
		d.delete(loginKey(account))
	}
}
