package providertest_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os/signal"
	"strings"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// plain is the smallest provider: it speaks HTTP by itself. Its fields are
// mistakes that it can make.
type plain struct {
	followRedirects, printBody, searchBody, allTransient, keepOld bool
}

func (plain) Describe(context.Context) (sdk.Description, error) {
	return sdk.Description{
		Name: "plain", Version: "0",
		Policy: sdk.Policy{AccessLifetime: time.Hour, Rotates: true, BeforeExpiry: time.Minute, PKCE: sdk.PKCENone},
	}, nil
}

func (p plain) Refresh(ctx context.Context, req sdk.RefreshRequest) (sdk.Token, error) {
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {req.Token.RefreshToken.Reveal()}}
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, req.Account.Settings["token_url"], strings.NewReader(form.Encode()))
	if err != nil {
		return sdk.Token{}, sdk.ErrNotSent
	}
	post.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	post.SetBasicAuth(req.Account.ClientID, req.Account.ClientSecret.Reveal())
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	if !p.followRedirects {
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	resp, err := client.Do(post)
	if err != nil {
		return sdk.Token{}, p.unanswered(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return sdk.Token{}, p.unanswered(err)
	}
	return p.read(req, resp.StatusCode, body)
}

func (p plain) unanswered(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return sdk.ErrNotSent
	}
	if p.allTransient {
		return &sdk.Error{Kind: sdk.KindTransient, Message: "no answer came"}
	}
	return sdk.ErrAmbiguous
}

func (p plain) read(req sdk.RefreshRequest, status int, body []byte) (sdk.Token, error) {
	var m struct {
		Access    string `json:"access_token"`
		Refresh   string `json:"refresh_token"`
		ExpiresIn int    `json:"expires_in"`
		Error     string `json:"error"`
	}
	parsed := json.Unmarshal(body, &m) == nil
	if p.searchBody && strings.Contains(string(body), "invalid_grant") {
		return sdk.Token{}, sdk.ErrInvalidGrant
	}
	switch {
	case status == http.StatusOK && parsed && m.Access != "":
		if p.keepOld && m.Refresh == "" {
			m.Refresh = req.Token.RefreshToken.Reveal()
		}
		return sdk.Token{
			AccessToken: sdk.NewSecret(m.Access), RefreshToken: sdk.NewSecret(m.Refresh),
			IssuedAt: time.Now(), Lifetime: time.Duration(m.ExpiresIn) * time.Second,
		}, nil
	case status == http.StatusOK:
		return sdk.Token{}, sdk.ErrAmbiguous
	case status == http.StatusBadRequest && m.Error == "invalid_grant":
		return sdk.Token{}, sdk.ErrInvalidGrant
	case status == http.StatusUnauthorized && m.Error == "invalid_client":
		return sdk.Token{}, sdk.ErrInvalidClient
	case p.printBody:
		return sdk.Token{}, errors.New("the broker said " + string(body))
	}
	return sdk.Token{}, &sdk.Error{Kind: sdk.KindTransient, Message: "the broker refused", HTTPStatus: status}
}

// The providers below make one mistake each that plain's fields can't make.

type retries struct{ plain }

func (p retries) Refresh(ctx context.Context, req sdk.RefreshRequest) (sdk.Token, error) {
	t, err := p.plain.Refresh(ctx, req)
	if sdk.KindOf(err) == sdk.KindTransient && err != nil {
		return p.plain.Refresh(ctx, req)
	}
	return t, err
}

type serial struct {
	plain
	mu sync.Mutex
}

func (p *serial) Refresh(ctx context.Context, req sdk.RefreshRequest) (sdk.Token, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.plain.Refresh(ctx, req)
}

type wired struct{ plain }

func (p wired) Describe(ctx context.Context) (sdk.Description, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", "127.0.0.1:9")
	if err == nil {
		_ = conn.Close()
	}
	if ctx.Err() != nil {
		return sdk.Description{}, ctx.Err()
	}
	return p.plain.Describe(ctx)
}

type nameless struct{ plain }

func (nameless) Describe(context.Context) (sdk.Description, error) { return sdk.Description{}, nil }

type timeless struct{ plain }

func (p timeless) Refresh(ctx context.Context, req sdk.RefreshRequest) (sdk.Token, error) {
	t, err := p.plain.Refresh(ctx, req)
	t.Lifetime = 0
	return t, err
}

// mortal lets signals end its process.
type mortal struct{ plain }

func (p mortal) Refresh(ctx context.Context, req sdk.RefreshRequest) (sdk.Token, error) {
	signal.Reset()
	return p.plain.Refresh(ctx, req)
}
