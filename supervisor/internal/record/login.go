package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// Login is a login that a person has begun, and that waits for what the broker gives
// him, or for his word to the broker.
type Login struct {
	Account string `json:"account"`
	// State names the login: the broker sends it back beside the code. URL is the
	// address at which the person logs in, and holds it.
	State string `json:"state"`
	URL   string `json:"url"`
	// Verifier is the code verifier of the address's code challenge (RFC 7636).
	Verifier sdk.Secret `json:"-"`
	// Issuer is the authorization server; "": not known.
	Issuer string `json:"issuer,omitempty"`
	// At is when it was begun, By by whom, and Until when it is over by itself.
	At    time.Time    `json:"at"`
	Until time.Time    `json:"until"`
	By    event.Caller `json:"by"`
	// GrantedTo is whom the token will be granted to, as the configuration said
	// when it was begun. Nobody knows the person yet.
	GrantedTo GrantedTo `json:"granted_to,omitzero"`
	// Config is the fingerprint of the configuration that its address was made from.
	Config string `json:"config,omitempty"`
	// Guided is what a [sdk.LoginGuide] has made of it, which it needs to end it; of
	// no shape: it is the redirect of an [sdk.Authorizer], which ends with a code.
	Guided sdk.Login `json:"-"`
	// Given is what a person has handed in for a guided one, while that is being
	// spent: after a death the same call is made again.
	Given sdk.Secret `json:"-"`
}

// IsGuided says whether a [sdk.LoginGuide] ends it.
func (l Login) IsGuided() bool { return l.Guided.Shape != "" }

// loginLayout is a login as stored. It is written once, and so needs to keep nothing
// that a newer program has added.
type loginLayout struct {
	Login
	Verifier string       `json:"code_verifier"`
	Guided   *guideLayout `json:"guided,omitempty"`
	Given    string       `json:"given,omitempty"`
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

// EncodeLogin turns a login into the bytes that are stored, and DecodeLogin turns them
// back.
func EncodeLogin(l Login) ([]byte, error) {
	layout := loginLayout{Login: l, Verifier: l.Verifier.Reveal(), Given: l.Given.Reveal()}
	layout.At, layout.Until = utc(l.At), utc(l.Until)
	if g := l.Guided; l.IsGuided() {
		layout.Guided = &guideLayout{
			Shape: g.Shape, Address: g.Address, Instructions: g.Instructions, UserCode: g.UserCode,
			Expires: utc(g.Expires), PollEvery: g.PollEvery, Private: reveal(g.Private),
		}
	}
	b, err := json.Marshal(layout)
	if err != nil {
		return nil, fmt.Errorf("the login of account %s can't be stored: %w", l.Account, err)
	}
	return b, nil
}

// DecodeLogin reads what EncodeLogin wrote.
func DecodeLogin(account string, b []byte) (*Login, error) {
	var l loginLayout
	if json.Unmarshal(b, &l) != nil || l.Account != account || l.State == "" {
		return nil, errors.New("is no login of that account")
	}
	login := l.Login
	login.Verifier, login.Given = sdk.NewSecret(l.Verifier), sdk.NewSecret(l.Given)
	if g := l.Guided; g != nil {
		login.Guided = sdk.Login{
			Shape: g.Shape, Address: g.Address, Instructions: g.Instructions, UserCode: g.UserCode,
			Expires: g.Expires, PollEvery: g.PollEvery, Private: conceal(g.Private),
		}
	}
	return &login, nil
}
