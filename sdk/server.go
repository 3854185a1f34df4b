package sdk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/tokenkeeper/tokenkeeper/sdk/crashpoint"
	"github.com/tokenkeeper/tokenkeeper/sdk/lockloan"
	pb "github.com/tokenkeeper/tokenkeeper/sdk/proto/provider/v1"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
)

// defaultDeadline bounds an attempt for which the supervisor named no
// deadline.
const defaultDeadline = 60 * time.Second

// Server puts a [Provider] behind the wire contract. [Serve] makes one for a
// real process; tests make one over an in-memory connection.
type Server struct {
	pb.UnimplementedProviderServer

	provider Provider
	spool    func() (*spool.Spool, error)
	log      *slog.Logger
	locks    *lockloan.Borrower // nil: none are lent
	estate   estate

	mu       sync.Mutex
	attempts map[string]*attempt
	beats    map[string]chan struct{} // closed when the call that keeps an account's session alive is over
	inFlight flights
}

// attempt is one run of Refresh or Exchange. Its result stays until it is
// settled, so that the same call again gets the same answer even where the
// disk refused to keep it.
type attempt struct {
	done   chan struct{}
	answer *pb.TokenResponse
	err    error
}

// NewServer serves p with the spool that open returns. open runs in the
// background at once, because the directory may still be held by a process
// that is finishing its last attempt; the calls that need the spool wait for
// it.
func NewServer(p Provider, open func() (*spool.Spool, error), log *slog.Logger) *Server {
	opened := sync.OnceValues(open)
	go func() { _, _ = opened() }()
	return &Server{provider: p, spool: opened, log: log, attempts: map[string]*attempt{}, beats: map[string]chan struct{}{}}
}

// Register adds the service to g.
func (s *Server) Register(g *grpc.Server) { pb.RegisterProviderServer(g, s) }

// Drain refuses new attempts and waits for those in flight, until 3 s after
// their deadlines at the latest, and then perhaps for the next supervisor, which
// takes over the locks of what was answered. It returns whether all have ended.
func (s *Server) Drain() bool {
	// Before a lock is given back whose call has not come: one that came now would
	// be sent without it.
	s.inFlight.close()
	handOver := s.estate.offer(s.locks, s.log)
	defer handOver()
	return s.inFlight.drain()
}

// Describe implements the wire contract.
func (s *Server) Describe(ctx context.Context, _ *pb.DescribeRequest) (_ *pb.DescribeResponse, err error) {
	defer s.recovered(&err)
	d, err := s.provider.Describe(ctx)
	if err != nil {
		return nil, toStatus(err)
	}
	s.interfaces(&d)
	return fromDescription(d), nil
}

// Ping implements the wire contract.
func (s *Server) Ping(context.Context, *pb.PingRequest) (*pb.PingResponse, error) {
	return &pb.PingResponse{}, nil
}

// Refresh implements the wire contract.
func (s *Server) Refresh(ctx context.Context, m *pb.RefreshRequest) (*pb.TokenResponse, error) {
	if _, none := s.provider.(interface{ knowsNoRefreshTokens() }); none {
		return s.unimplemented(ctx, spool.KindRefresh, m)
	}
	req := RefreshRequest{
		Attempt: toAttempt(m.GetAttempt()),
		Account: toAccount(m.GetAccount()),
		Token:   toToken(m.GetToken()),
	}
	return s.attempt(ctx, spool.KindRefresh, req.Attempt, req.Account.Name, func(ctx context.Context) (Token, error) {
		return s.provider.Refresh(ctx, req)
	})
}

// Exchange implements the wire contract.
func (s *Server) Exchange(ctx context.Context, m *pb.ExchangeRequest) (*pb.TokenResponse, error) {
	p, ok := s.provider.(Authorizer)
	if !ok {
		return s.unimplemented(ctx, spool.KindExchange, m)
	}
	req := ExchangeRequest{
		Attempt:      toAttempt(m.GetAttempt()),
		Account:      toAccount(m.GetAccount()),
		Code:         NewSecret(m.GetCode()),
		CodeVerifier: NewSecret(m.GetCodeVerifier()),
	}
	return s.attempt(ctx, spool.KindExchange, req.Attempt, req.Account.Name, func(ctx context.Context) (Token, error) {
		return p.Exchange(ctx, req)
	})
}

// AuthCodeURL implements the wire contract.
func (s *Server) AuthCodeURL(ctx context.Context, m *pb.AuthCodeURLRequest) (_ *pb.AuthCodeURLResponse, err error) {
	defer s.recovered(&err)
	p, ok := s.provider.(Authorizer)
	if !ok {
		return nil, toStatus(ErrUnimplemented)
	}
	url, err := p.AuthCodeURL(ctx, AuthRequest{
		Account: toAccount(m.GetAccount()), State: m.GetState(), CodeVerifier: m.GetCodeVerifier(),
	})
	if err != nil {
		return nil, toStatus(err)
	}
	answer := &pb.AuthCodeURLResponse{Url: url}
	if known, ok := s.provider.(Issuer); ok {
		answer.Issuer = known.Issuer(toAccount(m.GetAccount()))
	}
	return answer, nil
}

// Check implements the wire contract.
func (s *Server) Check(ctx context.Context, m *pb.CheckRequest) (_ *pb.CheckResponse, err error) {
	defer s.recovered(&err)
	p, ok := s.provider.(Checker)
	if !ok {
		return nil, toStatus(ErrUnimplemented)
	}
	if err := p.Check(ctx, CheckRequest{Account: toAccount(m.GetAccount()), Token: toToken(m.GetToken())}); err != nil {
		return nil, toStatus(err)
	}
	return &pb.CheckResponse{}, nil
}

// Revoke implements the wire contract.
func (s *Server) Revoke(ctx context.Context, m *pb.RevokeRequest) (*pb.RevokeResponse, error) {
	p, ok := s.provider.(Revoker)
	if !ok {
		return nil, toStatus(ErrUnimplemented)
	}
	if err := s.revoke(ctx, p, RevokeRequest{Account: toAccount(m.GetAccount()), Token: toToken(m.GetToken())}); err != nil {
		return nil, toStatus(err)
	}
	return &pb.RevokeResponse{}, nil
}

// Unsettled implements the wire contract.
func (s *Server) Unsettled(context.Context, *pb.UnsettledRequest) (*pb.UnsettledResponse, error) {
	sp, err := s.spool()
	if err != nil {
		return nil, toStatus(err)
	}
	contents := sp.Contents()
	m := &pb.UnsettledResponse{Spool: contents.ID}
	for _, e := range contents.Entries {
		m.Entries = append(m.Entries, fromEntry(e))
	}
	return m, nil
}

// Settle implements the wire contract.
func (s *Server) Settle(_ context.Context, m *pb.SettleRequest) (*pb.SettleResponse, error) {
	sp, err := s.spool()
	if err != nil {
		return nil, toStatus(err)
	}
	s.mu.Lock()
	a := s.attempts[m.GetAttempt()]
	s.mu.Unlock()
	keep, spare := false, false
	if a != nil {
		select {
		case <-a.done:
			keep, spare = unread(a.err)
		default:
			// Waiting here would throw the answer away as soon as it came.
			return nil, toStatus(&Error{Kind: KindTransient, Message: "attempt " + m.GetAttempt() + " is still under way and can't be settled"})
		}
	}
	if keep && spare {
		err = sp.SettleSpare(m.GetAttempt())
	} else {
		err = sp.Settle(m.GetAttempt(), keep)
	}
	if err != nil {
		return nil, toStatus(err)
	}
	s.mu.Lock()
	delete(s.attempts, m.GetAttempt())
	s.mu.Unlock()
	s.locks.GiveBack(m.GetAttempt())
	kept := ""
	if keep {
		if path, ok := sp.Aside(m.GetAttempt()); ok {
			kept = path
			s.log.Error("an answer of the broker that nobody could read was put aside; only the newest few of an account are kept",
				"attempt", m.GetAttempt(), "file", path)
		}
	}
	return &pb.SettleResponse{Kept: kept}, nil
}

// unread says whether a failed attempt may have left an answer in its slot
// that nobody could read, and so perhaps the only copy of a refresh token: it
// is put aside, not overwritten. A failure that comes from reading an answer
// has that answer's status. spare: its reader found nothing in it that looks like
// a token.
func unread(err error) (keep, spare bool) {
	var e *Error
	if !errors.As(fromStatus(err), &e) {
		return err != nil, false
	}
	if e.Kind == KindPending { // the broker has said all of it
		return false, false
	}
	return e.Kind == KindAmbiguous || e.HTTPStatus == 0, e.HTTPStatus != 0 && !e.Unread
}

// attempt runs call once per attempt id, detached from the RPC's context: the
// death of the supervisor must not cut off an answer on its way.
func (s *Server) attempt(ctx context.Context, kind string, id Attempt, account string,
	call func(context.Context) (Token, error),
) (*pb.TokenResponse, error) {
	if id.ID == "" || account == "" {
		return nil, toStatus(&Error{Kind: KindNotSent, Message: "the request names no attempt or no account"})
	}
	s.locks.Claim(id.ID)
	s.mu.Lock()
	a, known := s.attempts[id.ID]
	if !known {
		if id.Deadline.IsZero() {
			id.Deadline = time.Now().Add(defaultDeadline)
		}
		if !s.inFlight.begin(id.Deadline) {
			s.mu.Unlock()
			s.locks.GiveBack(id.ID)
			return nil, toStatus(&Error{Kind: KindNotSent, Message: "the provider process is shutting down"})
		}
		a = &attempt{done: make(chan struct{})}
		s.attempts[id.ID] = a
		go func() {
			defer s.inFlight.landed()
			defer close(a.done)
			h := spool.Header{
				Attempt: id.ID, Account: account, Kind: kind, Version: id.Version, Fingerprint: id.Fingerprint,
			}
			var err error
			if a.answer, err = s.run(h, id, call); err != nil {
				a.err = toStatus(err)
				s.locks.GiveBack(id.ID)
			}
		}()
	}
	s.mu.Unlock()
	select {
	case <-a.done:
		if a.err != nil { // also of one that was asked again, with a lock of its own
			s.locks.GiveBack(id.ID)
		}
		return a.answer, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// unimplemented is an attempt of a kind that the provider does not implement, or does
// not any more: what it has spooled as a whole token is given all the same, and what
// nobody can read here stays in its slot.
func (s *Server) unimplemented(ctx context.Context, kind string, m interface {
	GetAttempt() *pb.Attempt
	GetAccount() *pb.Account
},
) (*pb.TokenResponse, error) {
	sp, err := s.spool()
	if err != nil {
		return nil, toStatus(&Error{Kind: KindNotSent, Message: err.Error()})
	}
	id := toAttempt(m.GetAttempt())
	if !slices.ContainsFunc(sp.Unsettled(), func(e spool.Entry) bool { return e.Attempt == id.ID && e.Progress == spool.Answered }) {
		return nil, toStatus(ErrUnimplemented)
	}
	return s.attempt(ctx, kind, id, toAccount(m.GetAccount()).Name, func(context.Context) (Token, error) {
		return Token{}, ErrUnimplemented
	})
}

// run takes the attempt's slot, answers from it if it can, and otherwise lets
// the provider make its one request.
func (s *Server) run(h spool.Header, id Attempt, call func(context.Context) (Token, error)) (*pb.TokenResponse, error) {
	sp, err := s.spool()
	if err != nil {
		return nil, &Error{Kind: KindNotSent, Message: err.Error()}
	}
	crashpoint.Here("server: the call has come")
	slot, known, err := sp.BeginIn(id.Spool, h)
	if err != nil {
		return nil, &Error{Kind: KindNotSent, Message: err.Error()}
	}
	crashpoint.Here("server: the slot is taken")
	_, recovered := slot.Answer()
	if known && !recovered && slot.Progress() != spool.Ready {
		return nil, &Error{Kind: KindAmbiguous, Message: fmt.Sprintf(
			"an earlier process died during this attempt, begun %s, before an answer came", slot.BegunAt().Format(time.RFC3339))}
	}
	if m, ours, err := spooledToken(slot); err != nil {
		return nil, err
	} else if ours {
		return &pb.TokenResponse{Token: m, Recovered: true}, nil
	}
	if _, marks := s.provider.(SendMarker); !marks && !recovered {
		if err := slot.Advance(spool.Begun); err != nil {
			return nil, &Error{Kind: KindNotSent, Message: "the spool can't be written: " + err.Error()}
		}
	}
	crashpoint.Here("server: about to call the provider")
	ctx, cancel := context.WithDeadline(spool.NewContext(context.Background(), slot), id.Deadline)
	defer cancel()
	t, err := s.guard(ctx, slot, call)
	if err != nil {
		return nil, err
	}
	m := &pb.TokenResponse{Token: fromToken(t), Recovered: recovered}
	if fault := spoolToken(slot, m.Token); fault != nil {
		s.log.Error("the broker's answer is held in memory alone", "account", h.Account, "attempt", h.Attempt, "error", fault)
		m.SpoolFault = fault.Error()
	}
	crashpoint.Here("server: about to return the token")
	return m, nil
}

// recovered is guard of a call that is no attempt: a panic of it must not end the
// attempts beside it. The error is the call's answer.
func (s *Server) recovered(err *error) {
	if v := recover(); v != nil {
		*err = toStatus(&Error{Kind: KindTransient, Message: s.panicked(v)})
	}
}

// panicked logs a panic of the provider, and words it.
func (s *Server) panicked(v any) string {
	what := fmt.Sprintf("%T", v)
	if re, ok := v.(runtime.Error); ok {
		what = re.Error()
	}
	s.log.Error("the provider panicked", "panic", what, "stack", string(debug.Stack()))
	return "the provider panicked: " + what
}
