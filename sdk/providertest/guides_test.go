package providertest_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/oauth"
	"github.com/tokenkeeper/tokenkeeper/sdk/providertest"
)

// guiding is a provider that logs in by a device code, a pasted address or a pasted
// refresh token, and refreshes. Its fields are mistakes.
type guiding struct {
	*worded
	describe func(*sdk.Description)
	begin    func(sdk.BeginLoginRequest) (sdk.BeginLoginRequest, error)
	begun    func(sdk.Login, sdk.BeginLoginRequest, error) (sdk.Login, error)
	ended    func(sdk.Token, sdk.EndLoginRequest, error) (sdk.Token, error)
	posted   func(given string) (code string) // "": it is no post of the broker's
	tries    int
	one      *sync.Mutex // attempts wait for each other
}

func (p *guiding) Describe(ctx context.Context) (sdk.Description, error) {
	d, err := p.worded.Describe(ctx)
	d.Logins = []sdk.LoginShape{sdk.LoginDevice, sdk.LoginPasteAddress, sdk.LoginPasteToken}
	if p.describe != nil {
		p.describe(&d)
	}
	return d, err
}

func (p *guiding) device(a sdk.Account) oauth.Endpoint {
	e := p.endpoint(a)
	e.DeviceURL = strings.Replace(e.TokenURL, "/token", "/device", 1)
	return e
}

func (p *guiding) BeginLogin(ctx context.Context, req sdk.BeginLoginRequest) (l sdk.Login, err error) {
	if p.begin != nil {
		if req, err = p.begin(req); err != nil {
			return sdk.Login{}, err
		}
	}
	switch req.Shape {
	case sdk.LoginDevice:
		l, err = p.http.BeginDevice(ctx, p.device(req.Account), req)
	case sdk.LoginPasteAddress:
		l.Address, err = p.endpoint(req.Account).AuthCodeURL(sdk.AuthRequest{Account: req.Account, State: req.State, CodeVerifier: req.CodeVerifier})
	case sdk.LoginPasteToken:
		l.Instructions = "Copy a refresh token from the page of your apps."
	case sdk.LoginCallback:
		if l.Instructions = "Approve it in the app."; p.posted == nil {
			err = sdk.ErrUnimplemented
		}
	default:
		err = sdk.ErrUnimplemented
	}
	l.Shape = req.Shape
	if p.begun != nil {
		return p.begun(l, req, err)
	}
	return l, err
}

func (p *guiding) Refresh(ctx context.Context, req sdk.RefreshRequest) (sdk.Token, error) {
	if p.one != nil {
		p.one.Lock()
		defer p.one.Unlock()
	}
	return p.worded.Refresh(ctx, req)
}

func (p *guiding) EndLogin(ctx context.Context, req sdk.EndLoginRequest) (t sdk.Token, err error) {
	if p.one != nil && !p.one.TryLock() {
		return sdk.Token{}, sdk.ErrNotSent
	} else if p.one != nil {
		p.one.Unlock()
	}
	end := func(ctx context.Context) (sdk.Token, error) {
		switch req.Login.Shape {
		case sdk.LoginPasteAddress:
			u, err := url.Parse(req.Given.Reveal())
			if err != nil {
				return sdk.Token{}, &sdk.Error{Kind: sdk.KindInvalidGrant, Message: "what was pasted is no address"}
			}
			return p.Exchange(ctx, sdk.ExchangeRequest{Attempt: req.Attempt, Account: req.Account, Code: sdk.NewSecret(u.Query().Get("code"))})
		case sdk.LoginCallback:
			code := p.posted(req.Given.Reveal())
			if code == "" {
				return sdk.Token{}, &sdk.Error{Kind: sdk.KindNotSent, Message: "this is no post of the broker's"}
			}
			return p.Exchange(ctx, sdk.ExchangeRequest{Attempt: req.Attempt, Account: req.Account, Code: sdk.NewSecret(code)})
		case sdk.LoginPasteToken:
			return p.Refresh(ctx, sdk.RefreshRequest{Attempt: req.Attempt, Account: req.Account, Token: sdk.Token{RefreshToken: req.Given}})
		}
		return p.http.EndDevice(ctx, p.device(req.Account), req)
	}
	t, err = end(ctx)
	for range p.tries {
		if err != nil {
			t, err = end(context.Background())
		}
	}
	if p.ended != nil {
		return p.ended(t, req, err)
	}
	return t, err
}

func guide() *guiding { return &guiding{worded: &worded{change: func(*oauth.Endpoint) {}}} }

func guidingSuite(p sdk.Provider) providertest.Suite {
	s := suite(p)
	s.Account.RedirectURL = "https://127.0.0.1"
	return s
}

// deviceOnly logs in by a device code, and nothing refreshes what that brings.
type deviceOnly struct {
	sdk.NoRefresh
	guide *guiding
}

func (p deviceOnly) Describe(ctx context.Context) (sdk.Description, error) {
	d, err := p.guide.Describe(ctx)
	d.Policy.Rotates, d.Policy.BeforeExpiry, d.Logins = false, 0, []sdk.LoginShape{sdk.LoginDevice}
	return d, err
}

func (p deviceOnly) BeginLogin(ctx context.Context, req sdk.BeginLoginRequest) (sdk.Login, error) {
	if req.Shape != sdk.LoginDevice {
		return sdk.Login{}, sdk.ErrUnimplemented
	}
	return p.guide.BeginLogin(ctx, req)
}

func (p deviceOnly) EndLogin(ctx context.Context, req sdk.EndLoginRequest) (sdk.Token, error) {
	return p.guide.EndLogin(ctx, req)
}

// posted is a guide at whose broker a code is posted for a login.
func posted(read func(given string) (code string)) providertest.Suite {
	p := guide()
	p.describe = func(d *sdk.Description) { d.Logins = []sdk.LoginShape{sdk.LoginCallback} }
	p.begin = func(req sdk.BeginLoginRequest) (sdk.BeginLoginRequest, error) {
		if req.Shape != sdk.LoginCallback {
			return req, sdk.ErrUnimplemented
		}
		return req, nil
	}
	p.posted = read
	s := guidingSuite(p)
	s.HandIn = func(_ sdk.LoginShape, secret string) string { return `{"client_id":"app","code":"` + secret + `"}` }
	return s
}

// codeIn is the code of a post for the application of the suite; "": there is none.
func codeIn(given string) string {
	var post struct {
		Client string `json:"client_id"`
		Code   string `json:"code"`
	}
	if json.Unmarshal([]byte(given), &post) != nil || post.Client != "app" {
		return ""
	}
	return post.Code
}

// Each rule of a login guide finds the one that breaks it.
func TestBrokenGuidesAreFound(t *testing.T) {
	begun := func(foundBy string, change func(*sdk.Login, sdk.BeginLoginRequest)) brokenSuite {
		p := guide()
		p.begun = func(l sdk.Login, req sdk.BeginLoginRequest, err error) (sdk.Login, error) {
			change(&l, req)
			return l, err
		}
		return brokenSuite{guidingSuite(p), foundBy}
	}
	ended := func(foundBy string, change func(sdk.Token, sdk.EndLoginRequest, error) (sdk.Token, error)) brokenSuite {
		p := guide()
		p.ended = change
		return brokenSuite{guidingSuite(p), foundBy}
	}
	anyShape := guide()
	anyShape.begin = func(req sdk.BeginLoginRequest) (sdk.BeginLoginRequest, error) {
		req.Shape = sdk.LoginPasteToken
		return req, nil
	}
	none := guide()
	none.describe = func(d *sdk.Description) { d.Logins = append(d.Logins, sdk.LoginVerifier) }
	once, has := guide(), map[string]bool{}
	once.begin = func(req sdk.BeginLoginRequest) (sdk.BeginLoginRequest, error) {
		if key := string(req.Shape) + req.State; has[key] {
			return req, errors.New("this login has begun")
		}
		has[string(req.Shape)+req.State] = true
		return req, nil
	}
	again := guide()
	again.tries = 1
	talks := guide()
	talks.begun = func(l sdk.Login, req sdk.BeginLoginRequest, err error) (sdk.Login, error) {
		if err != nil {
			return l, errors.New("no login with " + req.Account.ClientSecret.Reveal())
		}
		return l, nil
	}
	content := guide()
	content.begun = func(l sdk.Login, req sdk.BeginLoginRequest, err error) (sdk.Login, error) {
		return sdk.Login{Shape: req.Shape, Address: cmp.Or(l.Address, "https://login.example"), UserCode: "A", PollEvery: time.Second}, nil
	}
	shapeless := guide()
	shapeless.describe = func(d *sdk.Description) { d.Logins = nil }
	serial := guide()
	serial.one = &sync.Mutex{}
	eachIsFound(t, map[string]brokenSuite{
		"has no shape":               {guidingSuite(shapeless), "Describe"},
		"logs in after the refresh":  {guidingSuite(serial), "UnsettledBlocks"},
		"begins what it has not":     {guidingSuite(anyShape), "BeginLogin/not_verifier"},
		"has what it can't begin":    {guidingSuite(none), "BeginLogin/verifier"},
		"begins once":                {guidingSuite(once), "BeginLogin/paste_token"},
		"is content with a failure":  {guidingSuite(content), "BeginLogin/device"},
		"begins another shape":       begun("BeginLogin/device", func(l *sdk.Login, _ sdk.BeginLoginRequest) { l.Shape = sdk.LoginApproval }),
		"tells the device code":      begun("BeginLogin/device", func(l *sdk.Login, _ sdk.BeginLoginRequest) { l.Instructions = l.Private["device_code"].Reveal() }),
		"tells the verifier":         begun("BeginLogin/paste_address", func(l *sdk.Login, req sdk.BeginLoginRequest) { l.Address += "&v=" + req.CodeVerifier }),
		"sends a person into clear":  begun("BeginLogin/paste_address", func(l *sdk.Login, _ sdk.BeginLoginRequest) { l.Address = "http://login.example" }),
		"sends a person nowhere":     begun("BeginLogin/paste_token", func(l *sdk.Login, _ sdk.BeginLoginRequest) { l.Instructions = "" }),
		"polls never":                begun("BeginLogin/device", func(l *sdk.Login, _ sdk.BeginLoginRequest) { l.PollEvery = 0 }),
		"polls what is pasted":       begun("BeginLogin/paste_token", func(l *sdk.Login, _ sdk.BeginLoginRequest) { l.PollEvery = time.Second }),
		"has no code to type":        begun("BeginLogin/device", func(l *sdk.Login, _ sdk.BeginLoginRequest) { l.UserCode = "" }),
		"is too late at once":        begun("BeginLogin/device", func(l *sdk.Login, _ sdk.BeginLoginRequest) { l.Expires = time.Unix(1, 0) }),
		"tells a secret as it fails": {guidingSuite(talks), "BeginLogin/device"},
		"takes any post for a code": {posted(func(given string) string {
			return cmp.Or(codeIn(given), given)
		}), "AlsoEndLogin_callback/ForgedPost"},
		"polls by itself": {guidingSuite(again), "AlsoEndLogin_device/Pending"},
		"calls pending a failure": ended("AlsoEndLogin_device/Pending", func(t sdk.Token, _ sdk.EndLoginRequest, err error) (sdk.Token, error) {
			if sdk.KindOf(err) == sdk.KindPending {
				return t, errors.New("not yet")
			}
			return t, err
		}),
		"waits for ever": ended("AlsoEndLogin_device/Pending", func(t sdk.Token, _ sdk.EndLoginRequest, err error) (sdk.Token, error) {
			if sdk.KindOf(err) == sdk.KindInvalidGrant {
				return t, &sdk.Error{Kind: sdk.KindPending, HTTPStatus: 400, Message: "not yet"}
			}
			return t, err
		}),
		"tells what was pasted": ended("AlsoEndLogin_paste_token/OnePostPerAttempt/InvalidGrant", func(t sdk.Token, req sdk.EndLoginRequest, err error) (sdk.Token, error) {
			if e := (*sdk.Error)(nil); errors.As(err, &e) {
				e.Message += req.Given.Reveal()
			}
			return t, err
		}),
		"a token as old as its reading": ended("AlsoEndLogin_paste_address/Recovery", func(t sdk.Token, _ sdk.EndLoginRequest, err error) (sdk.Token, error) {
			t.IssuedAt = time.Now()
			return t, err
		}),
	}, false)
}
