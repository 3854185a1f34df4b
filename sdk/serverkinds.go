package sdk

import (
	"context"
	"fmt"
	"time"

	pb "github.com/tokenkeeper/tokenkeeper/sdk/proto/provider/v1"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
)

// What version 2 of the contract adds to the server. Renew, Mint and EndLogin are
// attempts on the path of Refresh: one request, spooled, and answered from there.

// interfaces says which optional interfaces the provider implements.
func (s *Server) interfaces(d *Description) {
	_, d.Authorizer = s.provider.(Authorizer)
	_, d.Checker = s.provider.(Checker)
	_, d.Revoker = s.provider.(Revoker)
	_, d.Renewer = s.provider.(Renewer)
	_, d.Minter = s.provider.(Minter)
	_, d.Keepalive = s.provider.(Keepalive)
	_, d.LoginGuide = s.provider.(LoginGuide)
	d.ExchangeBeside = d.Authorizer || d.LoginGuide
	_, d.NoRefresh = s.provider.(interface{ knowsNoRefreshTokens() })
}

// Renew implements the wire contract.
func (s *Server) Renew(ctx context.Context, m *pb.RenewRequest) (*pb.TokenResponse, error) {
	p, ok := s.provider.(Renewer)
	if !ok {
		return s.unimplemented(ctx, spool.KindRenew, m)
	}
	req := RenewRequest{Attempt: toAttempt(m.GetAttempt()), Account: toAccount(m.GetAccount()), Token: toToken(m.GetToken())}
	return s.attempt(ctx, spool.KindRenew, req.Attempt, req.Account.Name, func(ctx context.Context) (Token, error) {
		return p.Renew(ctx, req)
	})
}

// Mint implements the wire contract.
func (s *Server) Mint(ctx context.Context, m *pb.MintRequest) (*pb.TokenResponse, error) {
	p, ok := s.provider.(Minter)
	if !ok {
		return s.unimplemented(ctx, spool.KindMint, m)
	}
	req := MintRequest{Attempt: toAttempt(m.GetAttempt()), Account: toAccount(m.GetAccount()), Token: toToken(m.GetToken())}
	return s.attempt(ctx, spool.KindMint, req.Attempt, req.Account.Name, func(ctx context.Context) (Token, error) {
		return p.Mint(ctx, req)
	})
}

// KeepAlive implements the wire contract.
func (s *Server) KeepAlive(ctx context.Context, m *pb.KeepAliveRequest) (_ *pb.KeepAliveResponse, err error) {
	defer s.recovered(&err)
	p, ok := s.provider.(Keepalive)
	if !ok {
		return nil, toStatus(ErrUnimplemented)
	}
	name := m.GetAccount().GetName()
	over, ok := s.beat(name)
	if !ok {
		return nil, toStatus(&Error{Kind: KindTransient, Message: fmt.Sprintf("account %s: an earlier call is still under way: the provider does not end it in time", name)})
	}
	defer over()
	life, err := p.KeepAlive(ctx, KeepaliveRequest{Account: toAccount(m.GetAccount()), Token: toToken(m.GetToken())})
	if err != nil {
		return nil, noAnswer(ctx, err)
	}
	return &pb.KeepAliveResponse{Life: string(life)}, nil
}

// beatsGoOn is how long a call that keeps a session alive may go on after its time is
// over, until the account's next one is refused.
const beatsGoOn = time.Second

// beat begins a call that keeps an account's session alive, unless one goes on that
// does not mind that its time is over. The caller ends it with over.
func (s *Server) beat(account string) (over func(), ok bool) {
	patience := time.NewTimer(beatsGoOn)
	defer patience.Stop()
	for {
		s.mu.Lock()
		earlier := s.beats[account]
		if earlier == nil {
			mine := make(chan struct{})
			s.beats[account] = mine
			s.mu.Unlock()
			return func() {
				s.mu.Lock()
				defer s.mu.Unlock()
				delete(s.beats, account)
				close(mine)
			}, true
		}
		s.mu.Unlock()
		select {
		case <-earlier:
		case <-patience.C:
			return nil, false
		}
	}
}

// BeginLogin implements the wire contract.
func (s *Server) BeginLogin(ctx context.Context, m *pb.BeginLoginRequest) (_ *pb.Login, err error) {
	defer s.recovered(&err)
	p, ok := s.provider.(LoginGuide)
	if !ok {
		return nil, toStatus(ErrUnimplemented)
	}
	login, err := p.BeginLogin(ctx, BeginLoginRequest{
		Account: toAccount(m.GetAccount()), Shape: LoginShape(m.GetShape()), State: m.GetState(),
		CodeVerifier: m.GetCodeVerifier(), CallbackURL: m.GetCallbackUrl(),
	})
	if err != nil {
		return nil, toStatus(err)
	}
	return fromLogin(login), nil
}

// EndLogin implements the wire contract.
func (s *Server) EndLogin(ctx context.Context, m *pb.EndLoginRequest) (*pb.TokenResponse, error) {
	p, ok := s.provider.(LoginGuide)
	if !ok {
		return s.unimplemented(ctx, spool.KindLogin, m)
	}
	req := EndLoginRequest{
		Attempt: toAttempt(m.GetAttempt()), Account: toAccount(m.GetAccount()), Login: toLogin(m.GetLogin()), Given: NewSecret(m.GetGiven()),
	}
	return s.attempt(ctx, spool.KindLogin, req.Attempt, req.Account.Name, func(ctx context.Context) (Token, error) {
		return p.EndLogin(ctx, req)
	})
}
