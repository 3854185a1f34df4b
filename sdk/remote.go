package sdk

import (
	"context"
	"fmt"

	"google.golang.org/grpc"

	"github.com/tokenkeeper/tokenkeeper/sdk/lockloan"
	pb "github.com/tokenkeeper/tokenkeeper/sdk/proto/provider/v1"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
)

// Remote is a [Provider] at the other end of a connection, as the supervisor
// sees it. It implements every optional interface; a call that the provider
// does not answer returns [ErrUnimplemented]. Errors of the connection itself
// are [ErrConnection].
type Remote struct {
	rpc   pb.ProviderClient
	locks LockLender // nil: nothing can be lent
}

// LockLender is a connection beside which descriptors can be sent to the
// process at its other end. Package lockloan has the real one.
type LockLender interface {
	LendLock(attempt string, fd int) error
}

var (
	_ Provider   = (*Remote)(nil)
	_ Authorizer = (*Remote)(nil)
	_ Checker    = (*Remote)(nil)
	_ Revoker    = (*Remote)(nil)
)

// NewRemote speaks the wire contract over conn.
func NewRemote(conn grpc.ClientConnInterface) *Remote {
	r := &Remote{rpc: pb.NewProviderClient(conn)}
	r.locks, _ = conn.(LockLender)
	return r
}

// LendLock gives the provider a copy of the descriptor that carries the lock of
// the account's shared file, for an attempt of which the call comes next: the
// lock then stands until the attempt has ended, also if the caller dies. After
// [lockloan.ErrNotTaken] it does not.
func (r *Remote) LendLock(attempt string, fd int) error {
	if r.locks == nil {
		return lockloan.ErrNotTaken
	}
	return r.locks.LendLock(attempt, fd)
}

// Answer is a token together with how the provider came by it.
type Answer struct {
	Token Token
	// Recovered: it came out of the spool, and nothing was sent.
	Recovered bool
	// SpoolFault says why the answer could not be made durable; "": it is.
	SpoolFault string
}

// Describe implements [Provider].
func (r *Remote) Describe(ctx context.Context) (Description, error) {
	m, err := r.rpc.Describe(ctx, &pb.DescribeRequest{})
	if err != nil {
		return Description{}, fromStatus(err)
	}
	return toDescription(m), nil
}

// Ping asks for a sign of life. If none has come when ctx ends, the error is that
// of ctx.
func (r *Remote) Ping(ctx context.Context) error {
	_, err := r.rpc.Ping(ctx, &pb.PingRequest{})
	if ended := gaveUp(ctx); err != nil && ended != nil {
		return fmt.Errorf("the plugin's process has not answered: %w", ended)
	}
	return fromStatus(err)
}

// Refresh implements [Provider].
func (r *Remote) Refresh(ctx context.Context, req RefreshRequest) (Token, error) {
	a, err := r.RefreshAnswer(ctx, req)
	return a.Token, err
}

// RefreshAnswer is Refresh that also tells how the answer was come by.
func (r *Remote) RefreshAnswer(ctx context.Context, req RefreshRequest) (Answer, error) {
	m, err := r.rpc.Refresh(ctx, &pb.RefreshRequest{
		Attempt: fromAttempt(req.Attempt), Account: fromAccount(req.Account), Token: fromToken(req.Token),
	})
	return toAnswer(m, err)
}

// AuthCodeURL implements [Authorizer].
func (r *Remote) AuthCodeURL(ctx context.Context, req AuthRequest) (string, error) {
	url, _, err := r.AuthAddress(ctx, req)
	return url, err
}

// AuthAddress is AuthCodeURL with the issuer of the authorization server; "": it
// is not known.
func (r *Remote) AuthAddress(ctx context.Context, req AuthRequest) (url, issuer string, err error) {
	m, err := r.rpc.AuthCodeURL(ctx, &pb.AuthCodeURLRequest{
		Account: fromAccount(req.Account), State: req.State, CodeVerifier: req.CodeVerifier,
	})
	return m.GetUrl(), m.GetIssuer(), fromStatus(err)
}

// Exchange implements [Authorizer].
func (r *Remote) Exchange(ctx context.Context, req ExchangeRequest) (Token, error) {
	a, err := r.ExchangeAnswer(ctx, req)
	return a.Token, err
}

// ExchangeAnswer is Exchange that also tells how the answer was come by.
func (r *Remote) ExchangeAnswer(ctx context.Context, req ExchangeRequest) (Answer, error) {
	m, err := r.rpc.Exchange(ctx, &pb.ExchangeRequest{
		Attempt: fromAttempt(req.Attempt), Account: fromAccount(req.Account),
		Code: req.Code.Reveal(), CodeVerifier: req.CodeVerifier.Reveal(),
	})
	return toAnswer(m, err)
}

// Check implements [Checker].
func (r *Remote) Check(ctx context.Context, req CheckRequest) error {
	_, err := r.rpc.Check(ctx, &pb.CheckRequest{Account: fromAccount(req.Account), Token: fromToken(req.Token)})
	return fromStatus(err)
}

// Revoke implements [Revoker].
func (r *Remote) Revoke(ctx context.Context, req RevokeRequest) error {
	_, err := r.rpc.Revoke(ctx, &pb.RevokeRequest{Account: fromAccount(req.Account), Token: fromToken(req.Token)})
	return ofAttempt(fromStatus(err))
}

// Unsettled names the provider's spool and lists the attempts in it, oldest
// first. It waits while an earlier process of this provider still holds the
// spool.
func (r *Remote) Unsettled(ctx context.Context) (spool.Contents, error) {
	m, err := r.rpc.Unsettled(ctx, &pb.UnsettledRequest{})
	if err != nil {
		return spool.Contents{}, fromStatus(err)
	}
	c := spool.Contents{ID: m.GetSpool(), Entries: make([]spool.Entry, 0, len(m.GetEntries()))}
	for _, e := range m.GetEntries() {
		c.Entries = append(c.Entries, toEntry(e))
	}
	return c, nil
}

// Settle frees the spool slot of an attempt whose outcome is durable.
func (r *Remote) Settle(ctx context.Context, attempt string) error {
	_, err := r.rpc.Settle(ctx, &pb.SettleRequest{Attempt: attempt})
	return fromStatus(err)
}

func toAnswer(m *pb.TokenResponse, err error) (Answer, error) {
	if err != nil {
		return Answer{}, ofAttempt(fromStatus(err))
	}
	a := Answer{Token: toToken(m.GetToken()), Recovered: m.GetRecovered(), SpoolFault: m.GetSpoolFault()}
	if a.Token.AccessToken.IsZero() && a.Token.RefreshToken.IsZero() {
		return Answer{}, fmt.Errorf("%w: the provider returned neither an access token nor a refresh token", ErrAmbiguous)
	}
	return a, nil
}
