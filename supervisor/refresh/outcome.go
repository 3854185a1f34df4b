package refresh

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	acct "github.com/tokenkeeper/tokenkeeper/supervisor/internal/account"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/advice"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/sharing"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// failed handles an attempt that the provider reports as failed: what is
// durable first, then the plan, then the word to people.
func (a attempt) failed(ctx context.Context, cause error) error {
	if a.state().IsAnswered() { // whatever is wrong with its place, the token is there
		a.countFailure(sdk.KindOf(cause), cause)
		return a.say.of(cause)
	}
	if spool.IsLogin(a.in.Kind) {
		return exchange{a}.failed(ctx, cause)
	}
	if err := a.judged(ctx, cause); err != nil {
		return err
	}
	kind := sdk.KindOf(cause)
	if kind == sdk.KindAmbiguous && (lost{a}).does() == acct.End {
		kind, cause = sdk.KindTransient, lost{a}.harmless(cause)
	}
	if kind == sdk.KindInvalidClient && a.in.Kind == spool.KindMint && (minted{a}).locksOut() {
		kind = sdk.KindInvalidGrant
	}
	if kind == sdk.KindInvalidClient {
		if over, err := (secretRefused{a}).over(ctx, cause); over {
			return err
		}
	}
	if kind == sdk.KindNotSent {
		var err error
		if a, err = (secretRefused{a}).unsent(ctx); err != nil {
			return err
		}
	}
	if a.in.ClientRefused != "" && kind != sdk.KindInvalidGrant {
		cause = secretRefused{a}.held(cause)
	}
	switch kind {
	case sdk.KindInvalidGrant:
		if a.in.Kind == spool.KindMint {
			return minted{a}.refused(ctx, cause)
		}
		return a.refused(ctx, cause)
	case sdk.KindAmbiguous:
		var e *sdk.Error
		if !a.in.Unread && a.in.Kind != spool.KindMint && errors.As(cause, &e) && e.Unread {
			a.in.Unread, a.in.UnreadAttempt = true, a.in.Attempt
		}
		if err := (lost{a}).mark(ctx, cause.Error()); err != nil {
			return err
		}
		a.countFailure(kind, cause)
	default:
		h := a.countFailure(kind, cause)
		if a.in.Replays == "" { // otherwise the intent stands, because nothing is known of what it replays
			if err := a.storeEnd(ctx, a.in.Attempt, a.rec().Basis(), h); err != nil {
				return a.diskTrouble(fmt.Errorf("note the failed attempt: %w", err))
			}
		}
		secretRefused{a}.ended()
	}
	a.free(ctx, a.in.Attempt)
	return a.say.of(cause)
}

// countFailure notes a failure, plans the next try, and tells. Of an account
// whose refresh token was refused, it is the refusal that stays noted, and
// nothing is tried again: somebody had insisted on one try.
func (a attempt) countFailure(kind sdk.Kind, cause error) store.Health {
	var retryAfter time.Duration
	if detail, ok := errors.AsType[*sdk.Error](cause); ok {
		retryAfter = detail.RetryAfter
	}
	a.keeper.mu.Lock()
	first := !a.state().IsCounted()
	does := a.step(acct.Failed{Kind: kind, Error: cause.Error(), At: a.keeper.clock.Now().Wall})
	h := a.rec().Health
	f := schedule.Failure{InRow: h.Failures, Misconfigured: kind == sdk.KindInvalidClient, RetryAfter: retryAfter, Rest: a.secrets.rest(a.keeper.clock.Now().Mono)}
	var next time.Time
	switch does {
	case acct.BackOff:
		next = delayed{a.leased}.retry(f)
	case acct.Replay:
		next = unknown{a.leased}.retry(f)
	default: // it was refused, and somebody had insisted on one try
		a.replan()
	}
	if !next.IsZero() && !a.state().IsAnswered() {
		next = limited{a.account}.behind(next, a.keeper.clock.Now())
	}
	expiry := a.rec().Token.Expiry()
	a.keeper.mu.Unlock()
	if !first { // people were told then
		return h
	}

	a.Publish(slog.LevelWarn, event.Event{
		Type: event.RefreshFailed, Kind: string(kind), Failures: h.Failures, Max: a.cfg.MaxFailures,
		Expiry: expiry, Next: next,
		Message: fmt.Sprintf("%s failed (%s): %v", actOf(a.in.Kind), event.InRow(h.Failures, a.cfg.MaxFailures), cause),
	})
	return h
}

// refused handles invalid_grant. Only if the refresh token that failed is the
// newest one does the account need a login, and even then nothing is deleted.
func (a attempt) refused(ctx context.Context, cause error) error {
	// A program that writes the shared file without its lock may have been
	// faster. Ours is dead, so whatever is there that we do not know is better.
	a.tell(acct.Denied{Fingerprint: a.in.Fingerprint})
	if adopted, err := (sharer{a.leased}).adopt(ctx); err != nil && !errors.Is(err, sharing.ErrUnseen) && !errors.Is(err, errAsked) {
		return err
	} else if adopted {
		a.Trouble(slog.LevelWarn, event.Event{
			Type: event.RivalRefresher, Attempt: a.in.Attempt,
			Message: "the server refused our refresh token, and the shared file held a newer one: another program refreshes " +
				"this grant without taking the lock. Its token is used; let that program take the lock, or stop it",
		})
		a.free(ctx, a.in.Attempt)
		return nil
	}
	if found, err := (finder{a.leased}).foundAfterRefusal(ctx, a.in.Attempt); found || err != nil {
		if err == nil {
			a.free(ctx, a.in.Attempt)
		}
		return err
	}
	if taken, err := (finder{a.leased}).takeEvidence(ctx); taken || err != nil {
		if err == nil {
			a.free(ctx, a.in.Attempt)
			err = errWentBack
		}
		return err
	}
	now := a.keeper.clock.Now().Wall
	stored, err := a.load(ctx)
	if err != nil {
		return a.diskTrouble(fmt.Errorf("read the record after the server refused the grant: %w", err))
	}
	newest := stored.Spends().Fingerprint() == a.in.Fingerprint
	known := newest && stored.Refused() // somebody has insisted on one more try
	said := cause.Error()
	if newest {
		said = finder{a.leased}.ofFound(stored, cause)
	}
	h := stored.Health
	h.Failures++
	if !known {
		h.LastError, h.LastKind, h.LastFailure = advice.Unadvised(said), sdk.KindInvalidGrant, now
	}
	h.Ambiguous = time.Time{}
	does := a.tell(acct.NothingElse{})
	if newest && does == acct.GoBack {
		if err := (finder{a.leased}).goBack(ctx, stored); err != nil {
			return err
		}
		a.free(ctx, a.in.Attempt)
		return errWentBack
	}
	if newest {
		h.NeedsLogin = a.in.Fingerprint
	}
	if err := a.storeEnd(ctx, a.in.Attempt, stored.Basis(), h); err != nil {
		return a.diskTrouble(fmt.Errorf("note that the server refused the grant: %w", err))
	}
	judged := stored
	judged.Health = h
	a.keeper.mu.Lock()
	a.step(acct.Judged{Record: judged})
	a.replan()
	a.keeper.mu.Unlock()
	if judged.Ended() {
		_ = sharing.TakeOut(a.share, judged, judged.Token.RefreshToken) // it is told, and tried again
	}

	if newest && a.rec().CanMint() {
		return minted{a}.next(ctx, judged, said)
	}
	if newest {
		a.Publish(slog.LevelError, event.Event{
			Type: event.NeedsLogin, Kind: string(sdk.KindInvalidGrant), Attempt: a.in.Attempt,
			Expiry: stored.Token.Expiry(), Message: loginMessage(a.in, stored, endIsSure(stored, a.keeper.Policy()), a.say.bare(said)) + ". " + sentence(a.say.anew().With("again")),
		})
	} else {
		a.Publish(slog.LevelWarn, event.Event{
			Type: event.RefreshFailed, Kind: string(sdk.KindInvalidGrant), Attempt: a.in.Attempt,
			Failures: h.Failures, Max: a.cfg.MaxFailures,
			Message: "the server refused a token that is not the newest any more; the newest is tried",
		})
	}
	a.free(ctx, a.in.Attempt)
	if known {
		return fmt.Errorf("account %s: its %s was refused %s already; %s: %w",
			a.cfg.Name, spent(a.in.Kind), stored.Health.LastFailure.Format(time.RFC3339), a.say.anew().With(""), cause)
	}
	if newest {
		return advice.Worded(a.say.of(cause).Error()+"; "+a.say.anew().With("again"), cause)
	}
	return a.say.of(cause)
}

// ofFound says of a refusal whose token it was, if no broker has given it to us.
func (a finder) ofFound(rec store.Record, cause error) string {
	from := a.broughtBy(rec)
	if from == "" {
		return cause.Error()
	}
	of := "account " + a.cfg.Name + ": "
	return of + "its refresh token came from " + from + "; " + strings.TrimPrefix(cause.Error(), of)
}

// loginMessage says exactly what happened, as far as anybody can know. rec is
// as it was before, and sure: its end rests on no guess.
func loginMessage(in store.Intent, rec store.Record, sure bool, cause string) string {
	what := spent(in.Kind)
	switch h := rec.Health; {
	case !h.Revoked.IsZero():
		return fmt.Sprintf("the server refused the %s of a login that was revoked %s, now that somebody insisted on sending it (%s)", what, h.Revoked.Format(time.RFC3339), cause)
	case !h.RevokeAsked.IsZero():
		return fmt.Sprintf("the server refused the %s (%s). A person had it asked %s to revoke the login, and the answer was lost: most likely it has", what, cause, h.RevokeAsked.Format(time.RFC3339))
	}
	if in.ClientRefused != "" {
		return fmt.Sprintf("the server refused the %s (%s). It had refused a client secret that came with it in an attempt begun "+
			"%s, and had most likely used it up then", what, cause, in.AmbiguousSince.Format(time.RFC3339))
	}
	if in.Replays != "" {
		return fmt.Sprintf("the server refused the %s (%s). An attempt begun %s was sent and its answer "+
			"was lost; the server had most likely replaced the token then",
			what, cause, in.AmbiguousSince.Format(time.RFC3339))
	}
	if rec.Refused() {
		return fmt.Sprintf("the server refused this %s %s already, and once more now that somebody "+
			"insisted on sending it (%s)", what, rec.Health.LastFailure.Format(time.RFC3339), cause)
	}
	if !rec.RefreshExpiry.IsZero() && in.At.Before(rec.RefreshExpiry) && sure {
		return fmt.Sprintf("the server refused the %s (%s) %s before it should have died. Another program "+
			"may have refreshed this grant, or a new login has ended it",
			what, cause, rec.RefreshExpiry.Sub(in.At).Round(time.Second))
	}
	return fmt.Sprintf("the server refused the %s (%s)", what, cause)
}
