package supervisor

import (
	"context"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

func (b backend) ConfirmLogin(ctx context.Context, account string) (control.LoggedInAnswer, error) {
	k, err := b.s.keeperOf(account)
	if err != nil {
		return control.LoggedInAnswer{}, err
	}
	rec, err := k.ConfirmLogin(ctx, account)
	if err != nil {
		return control.LoggedInAnswer{}, apiError(err)
	}
	b.s.loggedIn(ctx, rec)
	return loggedInAnswer(rec), nil
}

func (b backend) DiscardLogin(ctx context.Context, account string) (control.DiscardedAnswer, error) {
	k, err := b.s.keeperOf(account)
	if err != nil {
		return control.DiscardedAnswer{}, err
	}
	person, err := k.DiscardLogin(ctx, account)
	if err != nil {
		return control.DiscardedAnswer{}, apiError(err)
	}
	return control.DiscardedAnswer{Account: account, Person: person.String()}, nil
}

func loggedInAnswer(rec store.Record) control.LoggedInAnswer {
	person, _ := whose(rec)
	return control.LoggedInAnswer{
		Account: rec.Account, Person: person, Version: rec.Version, Way: wayOf(rec),
		Expiry: rec.Token.Expiry(), ExpiryUncertain: rec.Token.Uncertain, RefreshExpiry: rec.RefreshExpiry,
	}
}

// whose is whose login a record comes from, and the login of another person that
// waits beside it.
func whose(rec store.Record) (person string, candidate *control.Candidate) {
	if p := rec.GrantedTo.Person; p.Fingerprint != "" {
		person = p.String()
	}
	if c := rec.Candidate; c != nil {
		person = refresh.OwnerOf(rec).String()
		candidate = &control.Candidate{Person: c.GrantedTo.Person.String(), LoginAt: c.LoginAt, Ends: c.Ends()}
	}
	return person, candidate
}
