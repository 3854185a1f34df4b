package refresh

import (
	"context"
	"slices"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/belief"
)

// believed is an answer as far as it is believed, with what a person should hear of it.
type believed struct {
	sdk.Answer
	doubts []belief.Doubt
}

func (a attempt) call(ctx context.Context) (believed, error) { return a.prepared(ctx)() }

// prepared is the call, which needs no lease any more.
func (a attempt) prepared(ctx context.Context) (call func() (believed, error)) {
	a.desk().unfreed = slices.DeleteFunc(a.desk().unfreed, func(attempt string) bool { return attempt == a.in.Attempt })
	if len(a.desk().unfreed) > 0 {
		a.free(ctx) // their slots would block this attempt
	}
	a.keeper.mu.Lock()
	a.keeper.awaits(a.cfg.Timeout)
	a.keeper.mu.Unlock()
	a.lend()
	ask, patience := a.asks(), a.cfg.Timeout+answerMargin
	return func() (believed, error) {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		answer, err := ask(ctx)
		answer, doubts, err := belief.Answer(answer, err, a.keeper.Policy(), a.in.At, a.keeper.clock.Now().Wall)
		return believed{answer, doubts}, err
	}
}

// asks is what the provider is asked.
func (a attempt) asks() func(context.Context) (sdk.Answer, error) {
	account := presented{a.account}.with(a.in.Secret)
	remote, id := a.remote, sdk.Attempt{
		ID: a.in.Attempt, Version: a.in.Version, Fingerprint: a.in.Fingerprint,
		Deadline: time.Now().Add(a.cfg.Timeout), Spool: a.in.Spool,
	}
	switch a.in.Kind {
	case spool.KindExchange:
		req := sdk.ExchangeRequest{Attempt: id, Account: account}
		if a.exchange != nil { // otherwise the answer is in the spool
			req.Code, req.CodeVerifier = a.exchange.code, a.exchange.login.Stored().Verifier
		}
		return func(ctx context.Context) (sdk.Answer, error) { return remote.ExchangeAnswer(ctx, req) }
	case spool.KindLogin:
		req := exchange{a}.request(id)
		return func(ctx context.Context) (sdk.Answer, error) { return remote.EndLoginAnswer(ctx, req) }
	case spool.KindRenew:
		req := sdk.RenewRequest{Attempt: id, Account: account, Token: a.rec().Token}
		return func(ctx context.Context) (sdk.Answer, error) { return remote.RenewAnswer(ctx, req) }
	case spool.KindMint:
		req := sdk.MintRequest{Attempt: id, Account: account, Token: a.rec().Token}
		return func(ctx context.Context) (sdk.Answer, error) { return remote.MintAnswer(ctx, req) }
	}
	req := sdk.RefreshRequest{Attempt: id, Account: account, Token: a.rec().Token}
	return func(ctx context.Context) (sdk.Answer, error) { return remote.RefreshAnswer(ctx, req) }
}
