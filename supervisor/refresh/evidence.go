package refresh

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/crashpoint"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	acct "github.com/tokenkeeper/tokenkeeper/supervisor/internal/account"
	"github.com/tokenkeeper/tokenkeeper/supervisor/lineage"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// This file holds what becomes of an answer that is not known to descend from the
// account's record: an answer of an old grant, after a login or an import; a late
// one; one that the store knows nothing of. It is never installed in the place of
// what stands, and never thrown away.

// descend says of the answer to an attempt what it was obtained with.
func descend(rec *store.Record, in store.Intent) {
	if spool.IsLogin(in.Kind) || in.Kind == spool.KindMint {
		if in.Grant > 0 {
			rec.Grant = in.Grant + 1
		}
		return
	}
	rec.Parent = in.Fingerprint
	if in.Grant > 0 {
		rec.Grant = in.Grant
	}
}

// stray is an account at work with an attempt in its spool that the store does not
// announce.
type stray struct {
	*leased
	e spool.Entry
}

// settle ends the attempt. Most
// were over before their slot could be freed. One that was answered may be all
// that is left of a login, where the store was restored from a backup.
func (a stray) settle(ctx context.Context) error {
	if a.e.Progress != spool.Answered || has(a.rec(), a.e.Attempt) {
		return settler{a.leased}.clear(ctx, a.e.Attempt)
	}
	return sharer{a.leased}.settleShared(ctx, func() error {
		if a.isObtained() && !unfinished(a.state()) {
			return a.announce(ctx)
		}
		return a.identify(ctx)
	})
}

// has says whether the record is the answer to that attempt, or keeps it as
// evidence or as a candidate. An import that ended an attempt has its id, and is no answer to it.
func has(rec store.Record, attempt string) bool {
	if rec.Attempt == attempt && !foreignOrigin(rec.Origin) {
		return true
	}
	if c := rec.Candidate; c != nil && c.Attempt == attempt {
		return true
	}
	return slices.ContainsFunc(rec.Evidence, func(e store.Evidence) bool { return e.Attempt == attempt })
}

// isObtained says whether the answer was obtained with the record's refresh token, or
// minted from the account's key, after the record came.
func (a stray) isObtained() bool {
	minted := a.e.Kind == spool.KindMint && a.e.Fingerprint != "" && a.e.Fingerprint == a.rec().Key
	return (a.spends() || minted) && a.e.Version >= a.rec().Version
}

// spends says whether the attempt has sent the record's refresh token, if only as
// that of an earlier version: a person may have brought the same token again.
func (a stray) spends() bool {
	return a.stored() && a.e.Kind == acct.KindOf(a.rec().Way) && a.e.Fingerprint != "" && a.e.Fingerprint == a.rec().Spends().Fingerprint()
}

// announce announces an attempt of the record's refresh token that was
// answered, and takes the answer.
func (a stray) announce(ctx context.Context) error {
	in := store.Intent{
		Account: a.e.Account, Provider: a.keeper.cfg.Provider, Attempt: a.e.Attempt, Kind: a.e.Kind,
		Version: a.rec().Version, Grant: a.rec().Grant, Fingerprint: a.e.Fingerprint, At: a.e.BegunAt, Boot: a.keeper.cfg.Boot, Spool: a.keeper.spool.id(),
	}
	in, err := announceOver(ctx, a.keeper.cfg.Store, in)
	if err != nil {
		return a.notAnnounced(fmt.Errorf("announce an attempt found in the spool: %w", err))
	}
	crashpoint.Here("refresh: a spooled attempt is announced again")
	a.tell(acct.Announced{Intent: in})
	return a.attempt(in).run(ctx)
}

// identify finds out what an answer is that was not obtained with the record's
// refresh token. The provider reads it in its spool, and sends nothing.
func (a stray) identify(ctx context.Context) error {
	in := store.Intent{
		Account: a.e.Account, Provider: a.keeper.cfg.Provider, Attempt: a.e.Attempt, Kind: a.e.Kind,
		Version: a.e.Version, Fingerprint: a.e.Fingerprint, At: a.e.BegunAt, Spool: a.keeper.spool.id(),
	}
	answer, err := a.attempt(in).call(ctx)
	switch kind := sdk.KindOf(err); {
	case err == nil:
	case errors.Is(err, sdk.ErrConnection):
		return err
	case kind == sdk.KindNotSent, errors.Is(err, sdk.ErrUnimplemented): // it was not read either
		return a.say.of(err)
	default: // it brought no token, or one that nobody can read, which the provider puts aside
		return settler{a.leased}.clear(ctx, a.e.Attempt)
	}
	return a.keep(ctx, answer)
}

// keep finds out what an answer is that was not obtained with the record's refresh
// token, keeps it, and frees its slot.
func (a stray) keep(ctx context.Context, answer believed) error {
	in := store.Intent{
		Account: a.e.Account, Provider: a.keeper.cfg.Provider, Attempt: a.e.Attempt, Kind: a.e.Kind,
		Version: a.e.Version, Fingerprint: a.e.Fingerprint, At: a.e.BegunAt, Spool: a.keeper.spool.id(),
	}
	_, intended, err := a.keeper.cfg.Store.Intent(ctx, a.cfg.Name)
	if err != nil {
		return fmt.Errorf("read the open attempt of account %s: %w", a.cfg.Name, err)
	}
	t := answer.Token
	t.Rescued = ""
	was := answered{a.attempt(in), answer}
	c := was.candidate(t)
	switch v := (finder{a.leased}).verdictOf(t); {
	case c != nil && !isHalf(t):
		rec, err := loggingIn{a.leased}.putBeside(ctx, c)
		if err != nil {
			return a.diskTrouble(err)
		}
		a.tell(acct.Corrected{Record: rec})
		loggingIn{a.leased}.tellWaits()
	case v == lineage.Silent || v.Known():
		// Without a refresh token, or with one that the record has or had: nothing
		// is lost by it.
	case a.spends() && !unfinished(a.state()):
		return a.announce(ctx)
	case v == lineage.Newer && !intended && a.succeeds():
		if err = (finder{a.leased}).take(ctx, a.find(t)); err == nil {
			was.bringToShared(a.rec())
		}
	default:
		err = was.setAside(ctx, t, whyAside(a.rec(), in))
	}
	if err != nil {
		return err
	}
	crashpoint.Here("refresh: a stray answer is kept")
	return settler{a.leased}.clear(ctx, a.e.Attempt)
}

// verdictOf says how the token of an answer stands to the record.
func (a finder) verdictOf(t sdk.Token) lineage.Verdict {
	fp := t.RefreshToken.Fingerprint()
	if slices.ContainsFunc(a.rec().Before, func(b store.Before) bool { return b.Token.RefreshToken.Fingerprint() == fp }) {
		return lineage.Past
	}
	d := store.Record{Token: t}.Document()
	d.WrittenAt = t.IssuedAt
	_, j := a.compare(d)
	return j.Verdict
}

// succeeds says whether an answer, which is newer by all that can be seen, comes
// from after the record, though nobody can show how: then the store is of an
// earlier day than the spool. Ours has been spent on the way to it, and to send
// ours again might end the login; so it is tried like any token that was found,
// with the record behind it. Of an account whose refresh token was refused, or that
// has none, nothing is lost by it.
func (a stray) succeeds() bool {
	return !a.stored() || a.rec().Refused() || a.e.Version >= a.rec().Version && !a.rec().Replaced(a.e.Fingerprint)
}

func (a stray) find(t sdk.Token) find {
	f := find{
		token: whole(t, a.rec()), parent: a.e.Fingerprint, origin: store.OriginExternal, where: "the provider's spool",
		message: fmt.Sprintf("an answer of the broker was found in the provider's spool that comes from after this record (version %d, begun %s), "+
			"as when the store was restored from a backup: its token is used; the one before it is kept until the broker has taken this one",
			a.e.Version, a.e.BegunAt.UTC().Format(time.RFC3339)),
	}
	if spool.IsLogin(a.e.Kind) {
		f.loginAt = t.IssuedAt
	}
	return f
}

// whole gives half a token the access token that consumers of the record have already.
func whole(t sdk.Token, rec store.Record) sdk.Token {
	if isHalf(t) {
		return withAccessToken(t, rec.Token)
	}
	return t
}

// whyAside says for people why the answer to an attempt is not installed.
func whyAside(rec store.Record, in store.Intent) string {
	if in.Version < rec.Version || in.Grant > 0 && in.Grant < rec.Grant {
		return fmt.Sprintf("it was begun from version %d, and version %d has come since, by %s", in.Version, rec.Version, cameBy(rec.Origin))
	}
	return fmt.Sprintf("it was not obtained with the refresh token of version %d, which stands", rec.Version)
}

func cameBy(o store.Origin) string {
	switch o {
	case store.OriginLogin:
		return "a login"
	case store.OriginImport:
		return "an import"
	case store.OriginRefresh:
		return "a refresh"
	case store.OriginMint:
		return "a mint"
	case store.OriginRestore:
		return "a sink that gave it back"
	}
	return "another program"
}

// setAside keeps the token of an answer as evidence, and tells.
func (a answered) setAside(ctx context.Context, t sdk.Token, why string) error {
	now := a.keeper.clock.Now().Wall
	granted := a.keeper.nature().grantedTo(a.cfg.Account)
	granted.Person = personOf(t.IDToken)
	err := a.keeper.cfg.Store.SetAside(ctx, a.cfg.Name, store.Evidence{
		Attempt: a.in.Attempt, Kind: a.in.Kind, Version: a.in.Version, Grant: a.in.Grant, Parent: a.in.Fingerprint, Token: t,
		GrantedTo: granted, At: now, Why: why,
	})
	var stored store.Record
	if err == nil {
		stored, err = a.keeper.cfg.Store.Load(ctx, a.cfg.Name)
	}
	if err != nil {
		return a.diskTrouble(fmt.Errorf("keep an answer that is not installed, which the provider's spool still holds: %w", err))
	}
	rec := a.rec()
	rec.Evidence = stored.Evidence
	a.tell(acct.Corrected{Record: rec})
	a.Publish(slog.LevelWarn, event.Event{
		Type: event.AnswerSetAside, Version: a.rec().Version, Attempt: a.in.Attempt,
		Message: fmt.Sprintf("an answer of the broker to an attempt begun %s did not become the account's newest token: %s. It is kept until %s, "+
			"and tried by itself if the token that stands is refused. To take it all the same: tokenkeeper spool adopt %s %s",
			a.in.At.UTC().Format(time.RFC3339), why, now.Add(store.EvidenceLife).UTC().Format(time.RFC3339), a.cfg.Name, a.in.Attempt),
	})
	return nil
}

// besideRefusal says whether a login was refused, with a refresh token beside the
// refusal, at an account whose own token is good: of the two nobody knows which the
// broker means.
func (a answered) besideRefusal(t sdk.Token) bool {
	return spool.IsLogin(a.in.Kind) && t.Rescued == sdk.RescuedBesideError && a.stored() && !a.rec().Refused()
}

// keepBesideRefusal ends a login that was refused, and keeps what stood beside that:
// it is tried by itself if the token that stands is refused.
func (a answered) keepBesideRefusal(ctx context.Context, t sdk.Token) error {
	t.Rescued = ""
	if err := a.setAside(ctx, whole(t, a.rec()), "it refused a login, and put a refresh token beside the refusal"); err != nil {
		a.tell(acct.NotStored{})
		return err
	}
	cause := &sdk.Error{Kind: sdk.KindInvalidGrant, Message: fmt.Sprintf(
		"account %s: the broker refused the login; the refresh token that it put beside that is kept for a day, and the account's own stays in use. "+
			"Begin again with: tokenkeeper login %[1]s", a.cfg.Name)}
	a.renewed(a.rec())
	a.Publish(slog.LevelError, event.Event{Type: event.LoginFailed, Attempt: a.in.Attempt, Kind: string(cause.Kind), Message: cause.Message})
	exchange{a.attempt}.over(ctx, cause)
	a.free(ctx, a.in.Attempt)
	return errors.Join(cause, settler{a.leased}.settleGivenBack(ctx, a.in.Before))
}

// conflicting ends an attempt whose answer, which was to be rec, the store did not
// take because something else stands there than what the attempt began with.
func (a answered) conflicting(ctx context.Context, rec store.Record, conflict error) error {
	stored, err := a.load(ctx)
	if err != nil {
		return a.diskTrouble(errors.Join(conflict, err))
	}
	if stored.Attempt == a.in.Attempt && stored.Token.RefreshToken.Equal(rec.Token.RefreshToken) { // it was stored already
		a.keeper.open.Close(a.cfg.Name, a.in.Login, nil)
		a.renewed(stored)
		a.free(ctx, a.in.Attempt)
		return nil
	}
	why := whyAside(stored, a.in)
	if err := a.setAside(ctx, rec.Token, why); err != nil {
		return err
	}
	stored.Evidence = a.rec().Evidence
	a.renewed(stored)
	a.free(ctx, a.in.Attempt)
	err = fmt.Errorf("account %s: the broker's answer was not installed, and is kept for a day: %s: %w", a.cfg.Name, why, conflict)
	exchange{a.attempt}.over(ctx, err)
	return errors.Join(err, settler{a.leased}.settleGivenBack(ctx, a.in.Before))
}
