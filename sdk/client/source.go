package client

import (
	"context"
	"errors"
	"sync"

	"golang.org/x/oauth2"
)

// source reads the newest token for each use. While the supervisor can't be
// asked, as in the moments of its restart, the last one serves as long as it
// lives.
type source struct {
	client  *Client
	account string

	mu   sync.Mutex
	last Token
}

// token returns a token that has not expired, or an error that says why there
// is none.
func (s *source) token(ctx context.Context) (Token, error) {
	tok, err := s.client.Token(ctx, s.account)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		s.last = tok
	case ctx.Err() != nil, errors.Is(err, ErrNoAccount), errors.Is(err, ErrNoToken), !s.last.ValidFor(0):
		return Token{}, err
	default:
		return s.last, nil
	}
	if !tok.ValidFor(0) {
		return Token{}, expired(s.account, tok, 0)
	}
	return tok, nil
}

// TokenSource gives the account's newest token to whatever takes an
// [oauth2.TokenSource]. Each call asks the supervisor; while that is away, the
// last token serves until it expires. An expired token is [ErrExpired], never
// returned. The tokens hold no refresh token: refreshing is the supervisor's.
func (c *Client) TokenSource(ctx context.Context, account string) oauth2.TokenSource {
	return &tokenSource{ctx, &source{client: c, account: account}}
}

type tokenSource struct {
	ctx    context.Context // the interface has no place for one
	source *source
}

func (t *tokenSource) Token() (*oauth2.Token, error) {
	tok, err := t.source.token(t.ctx)
	if err != nil {
		return nil, err
	}
	return tok.oauth2(), nil
}

func (t Token) oauth2() *oauth2.Token {
	return &oauth2.Token{AccessToken: t.AccessToken.Reveal(), TokenType: t.TokenType, Expiry: t.Expiry}
}
