package sdk

import (
	"context"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/tokenkeeper/tokenkeeper/sdk/proto/provider/v1"
)

// What version 2 of the contract adds to Remote. A provider of version 1 answers
// none of it: [ErrUnimplemented].

var (
	_ Renewer    = (*Remote)(nil)
	_ Minter     = (*Remote)(nil)
	_ Keepalive  = (*Remote)(nil)
	_ LoginGuide = (*Remote)(nil)
)

// Renew implements [Renewer].
func (r *Remote) Renew(ctx context.Context, req RenewRequest) (Token, error) {
	a, err := r.RenewAnswer(ctx, req)
	return a.Token, err
}

// RenewAnswer is Renew that also tells how the answer was come by.
func (r *Remote) RenewAnswer(ctx context.Context, req RenewRequest) (Answer, error) {
	m, err := r.rpc.Renew(ctx, &pb.RenewRequest{
		Attempt: fromAttempt(req.Attempt), Account: fromAccount(req.Account), Token: fromToken(req.Token),
	})
	return toAnswer(m, err)
}

// Mint implements [Minter].
func (r *Remote) Mint(ctx context.Context, req MintRequest) (Token, error) {
	a, err := r.MintAnswer(ctx, req)
	return a.Token, err
}

// MintAnswer is Mint that also tells how the answer was come by.
func (r *Remote) MintAnswer(ctx context.Context, req MintRequest) (Answer, error) {
	m, err := r.rpc.Mint(ctx, &pb.MintRequest{
		Attempt: fromAttempt(req.Attempt), Account: fromAccount(req.Account), Token: fromToken(req.Token),
	})
	return toAnswer(m, err)
}

// KeepAlive implements [Keepalive]. What is none of the known lives is an error, as
// nobody knows then how the session is. If no answer has come when ctx ends, the error
// is that of ctx.
func (r *Remote) KeepAlive(ctx context.Context, req KeepaliveRequest) (Life, error) {
	m, err := r.rpc.KeepAlive(ctx, &pb.KeepAliveRequest{Account: fromAccount(req.Account), Token: fromToken(req.Token)})
	switch status.Code(err) {
	case codes.Canceled, codes.DeadlineExceeded: // and no process that has ended
		if ended := gaveUp(ctx); ended != nil {
			return "", fmt.Errorf("account %s: the provider has not said how the session is: %w", req.Account.Name, ended)
		}
	}
	if err != nil {
		return "", fromStatus(err)
	}
	switch life := Life(m.GetLife()); life {
	case Alive, Competing, Gone:
		return life, nil
	}
	return "", &Error{Kind: KindTransient, Message: fmt.Sprintf("account %s: the provider does not say how the session is", req.Account.Name)}
}

// BeginLogin implements [LoginGuide].
func (r *Remote) BeginLogin(ctx context.Context, req BeginLoginRequest) (Login, error) {
	m, err := r.rpc.BeginLogin(ctx, &pb.BeginLoginRequest{
		Account: fromAccount(req.Account), Shape: string(req.Shape), State: req.State,
		CodeVerifier: req.CodeVerifier, CallbackUrl: req.CallbackURL,
	})
	if err != nil {
		return Login{}, fromStatus(err)
	}
	return toLogin(m), nil
}

// EndLogin implements [LoginGuide].
func (r *Remote) EndLogin(ctx context.Context, req EndLoginRequest) (Token, error) {
	a, err := r.EndLoginAnswer(ctx, req)
	return a.Token, err
}

// EndLoginAnswer is EndLogin that also tells how the answer was come by.
func (r *Remote) EndLoginAnswer(ctx context.Context, req EndLoginRequest) (Answer, error) {
	m, err := r.rpc.EndLogin(ctx, &pb.EndLoginRequest{
		Attempt: fromAttempt(req.Attempt), Account: fromAccount(req.Account), Login: fromLogin(req.Login), Given: req.Given.Reveal(),
	})
	return toAnswer(m, err)
}
