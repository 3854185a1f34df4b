package refresh

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/crashpoint"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	acct "github.com/tokenkeeper/tokenkeeper/supervisor/internal/account"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/advice"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/hearsay"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// A login that names another person than the account's is not stored over his
// token, which goes on being refreshed. It waits beside as it came, and is not
// refreshed: so it lives as long as its refresh token does without that.

// Errors of a login that another person has made.
var (
	// ErrAnotherPerson: the login is stored as the account's candidate.
	ErrAnotherPerson = errors.New("another person than before has logged in")
	// ErrNoCandidate: no login waits for a person's word.
	ErrNoCandidate = errors.New("no login of another person waits here")
	// ErrCandidateOver: its refresh token has died meanwhile.
	ErrCandidateOver = errors.New("the login that waited has ended")
)

// candidate is what becomes of the answer to a login that names another person
// than the account's, or somebody in a way that can't be read; nil: it has no
// id_token, or names the same, or is no login's.
func (a answered) candidate(t sdk.Token) *store.Candidate {
	owner, person := OwnerOf(a.rec()), personOf(t.IDToken)
	unread := !t.IDToken.IsZero() && person.Fingerprint == "" && owner.Fingerprint != "" && !owner.Assumed
	if !spool.IsLogin(a.in.Kind) || !a.stored() || !unread && !isAnother(owner, person) {
		return nil
	}
	t.Rescued = ""
	granted := a.keeper.nature().grantedTo(a.cfg.Account)
	granted.Person = person
	rec := store.Record{Token: t, LoginAt: t.IssuedAt, Way: a.keeper.nature().wayAfter(a.rec().Way)}
	noteEnds(&rec, a.keeper.Policy())
	return &store.Candidate{Token: rec.Token, LoginAt: rec.LoginAt, GrantedTo: granted, Attempt: a.in.Attempt, RefreshExpiry: rec.RefreshExpiry}
}

// another ends a login that another person has made: its token is kept beside the
// record. That, the attempt that stood before the login, and what is planned, are
// as they were.
func (a answered) another(ctx context.Context, c *store.Candidate) error {
	if isHalf(c.Token) || c.Token.RefreshToken.IsZero() && !a.rec().Token.RefreshToken.IsZero() {
		return a.failed(ctx, &sdk.Error{Kind: sdk.KindTransient, Message: fmt.Sprintf(
			"account %s: %s has logged in, and this is the account of %s; the answer has no whole token, so nothing of it was kept",
			a.cfg.Name, c.GrantedTo.Person, OwnerOf(a.rec()))})
	}
	rec, err := loggingIn{a.leased}.putBeside(ctx, c)
	if err != nil {
		a.tell(acct.NotStored{})
		return a.diskTrouble(err)
	}
	if a.exchange != nil {
		a.exchange.aside = true
	}
	a.keeper.open.Close(a.cfg.Name, a.in.Login, fmt.Errorf("account %s: %w: %s", a.cfg.Name, ErrAnotherPerson, waits(rec)))
	a.keeper.mu.Lock()
	a.step(acct.Beside{Record: rec})
	cut := a.state().IsCut()
	if _, planned := a.plan.due(); !planned && !cut && a.underWay == "" {
		a.replan()
	}
	a.keeper.mu.Unlock()
	a.Over(event.DiskTrouble)
	loggingIn{a.leased}.tellWaits()
	a.free(ctx, a.in.Attempt)
	if cut {
		return settler{a.leased}.settleGivenBack(ctx, a.in.Before)
	}
	return nil
}

// putBeside makes a candidate durable, and returns the record beside which it is.
func (a loggingIn) putBeside(ctx context.Context, c *store.Candidate) (store.Record, error) {
	if err := a.keeper.cfg.Store.PutBeside(ctx, a.cfg.Name, c.Attempt, a.rec().Basis(), c); err != nil {
		return store.Record{}, fmt.Errorf("store the login of another person, which the provider's spool still holds: %w", err)
	}
	crashpoint.Here("refresh: the candidate is stored")
	rec := a.rec()
	rec.Candidate = c
	return rec, nil
}

func (a loggingIn) tellWaits() {
	a.Publish(slog.LevelWarn, event.Event{Type: event.LoginWaits, Attempt: a.rec().Candidate.Attempt, Message: waits(a.rec())})
}

// waits says what waits beside a record for a person's word, and how he gives it.
func waits(rec store.Record) string {
	what, ways := waiting(rec)
	return what + "; " + ways
}

// CandidateText says which login waits beside a record for a person's word, and
// how he gives it; "": none that is still of use.
func CandidateText(rec store.Record, now time.Time) (what, ways string) {
	if c := rec.Candidate; c == nil || !c.Ends().IsZero() && !now.Before(c.Ends()) {
		return "", ""
	}
	return waiting(rec)
}

func waiting(rec store.Record) (what, ways string) {
	c := rec.Candidate
	until := "and nobody knows how long it will work"
	if end := c.Ends(); !end.IsZero() {
		until = "and works until " + moment.Stamp(end)
	}
	what = fmt.Sprintf("%s has logged in, and this is the account of %s, whose token was not replaced and goes on being refreshed. The new login "+
		"waits, is not refreshed, %s", c.GrantedTo.Person, OwnerOf(rec), until)
	ways = fmt.Sprintf("to put it in the other's place: tokenkeeper login %s --confirm; to forget it: tokenkeeper login %[1]s --discard", rec.Account)
	return what, ways
}

// ConfirmLogin puts the account's candidate in the place of its token.
func (p persons) ConfirmLogin(ctx context.Context, name string) (store.Record, error) {
	a, err := p.claimCandidate(ctx, name)
	if err != nil {
		return store.Record{}, err
	}
	defer a.release()
	c, now := a.rec().Candidate, p.clock.Now().Wall
	if end := c.Ends(); !end.IsZero() && !now.Before(end) {
		return store.Record{}, fmt.Errorf("account %s: %w (%s): log in again with: tokenkeeper login %s", name, ErrCandidateOver, moment.Stamp(end), name)
	}
	ctx = context.WithoutCancel(ctx)
	if err := a.storeHeld(ctx); err != nil {
		return store.Record{}, err
	}
	err = sharer{a}.withShared(ctx, toConfirm, func() error { return loggingIn{a}.confirmed(ctx, c, now) })
	if err != nil {
		return store.Record{}, err
	}
	return a.rec(), nil
}

// confirmed commits a candidate as the account's next record, over whatever
// attempt stands open.
func (a loggingIn) confirmed(ctx context.Context, c *store.Candidate, now time.Time) error {
	a.share.ProveForLogin()
	t := c.Token
	if t.Private == nil { // the other person's are not his
		t.Private = map[string]sdk.Secret{}
	}
	next := a.next(t, store.OriginLogin, c.Attempt, now)
	next.Account, next.Provider = a.cfg.Name, a.keeper.cfg.Provider
	next.GrantedTo, next.LoginAt, next.LoginUncertain, next.RefreshExpiry = c.GrantedTo, c.LoginAt, false, c.RefreshExpiry
	if next.GrantedTo.Person.Fingerprint == "" {
		next.GrantedTo.Person = assumed(a.rec())
	}
	next.Candidate = nil
	if err := finder(a).replaceGrant(ctx, &next); err != nil {
		return err
	}
	crashpoint.Here("refresh: the candidate is confirmed")
	due := a.renewed(next)
	a.share.Write(next)
	a.Publish(slog.LevelInfo, event.Event{
		Type: event.LoggedIn, Version: next.Version, Attempt: c.Attempt, Expiry: t.Expiry(), Next: due,
		Message: "logged in as " + c.GrantedTo.Person.String() + ", as a person has confirmed",
	})
	return nil
}

// DiscardLogin forgets the account's candidate, and returns whose login it was. At
// the broker it lives on until it ends by itself.
func (p persons) DiscardLogin(ctx context.Context, name string) (store.Person, error) {
	a, err := p.claimCandidate(ctx, name)
	if err != nil {
		return store.Person{}, err
	}
	defer a.release()
	if a.state().Held() != nil { // its version has the candidate, too
		return store.Person{}, fmt.Errorf("account %s: its newest token is not stored yet, because of the disk; try again when it is: see tokenkeeper status", name)
	}
	ctx = context.WithoutCancel(ctx)
	if err := store.Made(p.store.PutBeside(ctx, name, "", a.rec().Basis(), nil), func() (bool, error) {
		rec, err := p.store.Load(ctx, name)
		return err == nil && rec.Candidate == nil, err
	}); err != nil {
		return store.Person{}, fmt.Errorf("account %s: forget the login that waits: %w", name, err)
	}
	rec := a.rec()
	person := rec.Candidate.GrantedTo.Person
	rec.Candidate = nil
	a.tell(acct.Corrected{Record: rec})
	a.Publish(slog.LevelInfo, event.Event{Type: event.LoginDiscarded, Message: "the login of " + person.String() + " is forgotten, as a person wished"})
	return person, nil
}

// claimCandidate makes an account busy that has a candidate.
func (p persons) claimCandidate(ctx context.Context, name string) (*leased, error) {
	a, err := p.accounts.claim(ctx, name)
	if err != nil {
		return nil, err
	}
	if a.rec().Candidate == nil {
		a.release()
		if a.say.anew().Means == advice.Import {
			return nil, a.say.errLoginless()
		}
		return nil, fmt.Errorf("account %s: %w; to log in: tokenkeeper login %s", name, ErrNoCandidate, name)
	}
	return a, nil
}

// PersonIn is who has logged in, by the answer of a broker; the zero value: it
// does not say.
func PersonIn(t sdk.Token) store.Person { return personOf(t.IDToken) }

// personOf is whom an id_token names: the issuer and the subject, which together
// nobody else has (OpenID Connect Core 1.0, section 2); the zero Person if there
// is none, or it can't be read. Its signature is not checked: it has come straight
// from the token endpoint over TLS, where the check of the server may stand for
// that of the signature (section 3.1.3.7, point 6). So it says who has logged in
// here, and proves nothing to anybody else.
func personOf(idToken sdk.Secret) store.Person {
	parts := strings.Split(idToken.Reveal(), ".")
	if len(parts) != 3 { // of a signed one (RFC 7515); one that is encrypted is not for us
		return store.Person{}
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return store.Person{}
	}
	var claims map[string]any
	if json.Unmarshal(payload, &claims) != nil {
		return store.Person{}
	}
	text := func(claim string) string {
		s, _ := claims[claim].(string)
		return s
	}
	issuer, subject := text("iss"), text("sub")
	if issuer == "" || subject == "" {
		return store.Person{}
	}
	p := store.Person{Fingerprint: sdk.NewSecret(issuer + "\n" + subject).Fingerprint()}
	for _, claim := range []string{"preferred_username", "email", "name"} {
		if p.Name = hearsay.New().Clean(text(claim), hearsay.Name); p.Name != "" {
			break
		}
	}
	return p
}

// OwnerOf is whose login a record comes from. One that an older program has
// stored may still tell it by its id_token.
func OwnerOf(rec store.Record) store.Person {
	if p := rec.GrantedTo.Person; p.Fingerprint != "" {
		return p
	}
	return personOf(rec.Token.IDToken)
}

// assumed is the last person who was named, for a login that names nobody: so that
// one of somebody else is still noticed later.
func assumed(before store.Record) store.Person {
	p := OwnerOf(before)
	p.Assumed = p.Fingerprint != ""
	return p
}

// personAfter is whose login a version with the token t comes from, which follows
// before. A refresh stays in its login, whatever its id_token says (OpenID Connect
// Core 1.0, section 12.2, does not let it name another person).
func personAfter(before store.Record, t sdk.Token, origin store.Origin) store.Person {
	named, was := personOf(t.IDToken), OwnerOf(before)
	switch origin {
	case store.OriginLogin, store.OriginImport:
		if named.Fingerprint == "" {
			return assumed(before)
		}
		return named
	case store.OriginRefresh:
		if was.Fingerprint != "" && (!was.Assumed || named.Fingerprint == "") {
			return was
		}
	}
	if named.Fingerprint == "" {
		return was
	}
	return named
}

// isAnother says whether both are known, and not the same.
func isAnother(p, q store.Person) bool {
	return p.Fingerprint != "" && q.Fingerprint != "" && p.Fingerprint != q.Fingerprint
}
