package sdk

import (
	"context"
	"errors"
)

// This file holds what an error of [Revoker.Revoke] says of the token.

// RevokeScope is what a broker ends when it is asked to revoke a token.
type RevokeScope string

const (
	// RevokesGrant: the grant of the token, with all tokens that came from it (RFC 7009,
	// section 2.1).
	RevokesGrant RevokeScope = "grant"
	// RevokesToken: the refresh token alone. The access token that consumers hold lives on
	// to its own end.
	RevokesToken RevokeScope = "token"
	// RevokesClient: every refresh token of the client, also those of other accounts and
	// of other people, as at a broker that has one switch for each application.
	RevokesClient RevokeScope = "client"
)

// revoke is the provider's call. An error that has no kind, and a panic, say nothing of
// whether the request came to the broker.
func (s *Server) revoke(ctx context.Context, p Revoker, req RevokeRequest) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &Error{Kind: KindAmbiguous, Message: s.panicked(v)}
		}
	}()
	err = p.Revoke(ctx, req)
	var said *Error
	if err == nil || errors.Is(err, ErrUnimplemented) || errors.As(err, &said) && said.Kind != "" {
		return err
	}
	return &Error{Kind: KindAmbiguous, Message: err.Error()}
}

// RevokedNothing says whether an error of [Revoker.Revoke] proves that the token lives as
// before. Of any other error nobody knows that.
func RevokedNothing(err error) bool {
	if errors.Is(err, ErrUnimplemented) {
		return true
	}
	said, ok := errors.AsType[*Error](err)
	if !ok {
		return false
	}
	switch said.Kind {
	case KindNotSent, KindInvalidClient, KindInvalidGrant, KindRateLimited:
		return true
	case KindTransient:
		return said.HTTPStatus != 0
	}
	return false
}
