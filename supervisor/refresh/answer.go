package refresh

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/advice"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/belief"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// A success may bring half a token: a new refresh token, whose predecessor is
// spent, and no access token. The half is kept like a whole one. What consumers
// have stays as it is, and an access token is asked for again: at once, once,
// and then with the pauses of any failure.

// kindHalf is Health.LastKind after such an answer.
const kindHalf sdk.Kind = "no_access_token"

// errOtherHalf: half a token is stored, and the other half is asked for at once.
var errOtherHalf = advice.Worded(halfToken+"; it is asked again at once", errWentBack)

const halfToken = "the broker gave a new refresh token, which is stored, and no access token"

// make makes an attempt. Its error is for those who wait for a refresh: half a token is
// durable, and no refresh yet.
func (a *round) make(ctx context.Context, in store.Intent) error {
	err := a.attempt(in).run(ctx)
	switch h := a.rec().Health; {
	case err != nil || h.Halves == 0:
		return err
	case h.Halves == 1:
		return errOtherHalf
	default:
		return errors.New(h.LastError)
	}
}

func isHalf(t sdk.Token) bool { return t.AccessToken.IsZero() }

// nothingNew: the refresh token of half an answer is the one that was sent, or
// one before it.
func (a answered) nothingNew() bool {
	fp := a.answer.Token.RefreshToken.Fingerprint()
	return fp == "" || fp == a.in.Fingerprint || a.rec().Replaced(fp)
}

func (a answered) errNothingNew() error {
	return &sdk.Error{Kind: sdk.KindTransient, Message: fmt.Sprintf(
		"account %s: the broker answered without an access token and without a new refresh token; it will be tried again", a.cfg.Name)}
}

// success is what becomes of an answer.
type success struct {
	// record is the account's next version.
	record store.Record
	// doubts are what a person should hear of the token's times.
	doubts []belief.Doubt
	// dead: the access token was dead when it came; nil: it lives.
	dead error
}

// successor is what becomes of an answer.
func (a answered) successor() success {
	now, t, policy := a.keeper.clock.Now().Wall, a.answer.Token, a.keeper.Policy()
	half := isHalf(t)
	if held := a.state().Held(); held != nil && held.Attempt == a.in.Attempt {
		s := success{record: *held}
		if !half {
			s.dead = deadOnArrival(&s.record, a.rec(), a.in, a.answer.Recovered, now)
		}
		return s
	}
	t.Rescued = ""
	origin := store.OriginRefresh
	if spool.IsLogin(a.in.Kind) {
		origin = store.OriginLogin
	}
	if a.in.Kind == spool.KindMint {
		origin = store.OriginMint
	}
	rec := a.next(t, origin, a.in.Attempt, now)
	rec.Account, rec.Provider = a.cfg.Name, a.keeper.cfg.Provider
	rec.AcceptedSecret = cmp.Or(a.in.Secret, rec.AcceptedSecret)
	a.secrets.accept(a.in.Secret)
	descend(&rec, a.in)
	if origin == store.OriginLogin {
		rec.LoginAt, rec.LoginUncertain = t.IssuedAt, false
	}
	if origin == store.OriginMint {
		minted{a.attempt}.complete(&rec, t)
	}
	outlived(&rec, a.rec(), policy, a.in)
	noteEnds(&rec, policy)
	if half {
		rec.Token = withAccessToken(rec.Token, a.rec().Token)
		rec.Health = a.rec().Health
		rec.Health.Failures++
		rec.Health.Halves++
		rec.Health.LastKind, rec.Health.LastFailure = kindHalf, now
		rec.Health.LastError = fmt.Sprintf("account %s: %s", a.cfg.Name, halfToken)
		rec.Health.Ambiguous = time.Time{}
		return success{record: rec, doubts: a.answer.doubts}
	}
	dead := deadOnArrival(&rec, a.rec(), a.in, a.answer.Recovered, now)
	return success{rec, a.answer.doubts, dead}
}

// withAccessToken gives t the access token that consumers have already, as old
// as it is.
func withAccessToken(t, before sdk.Token) sdk.Token {
	if before.AccessToken.IsZero() {
		t.Lifetime = 0
		return t
	}
	t.AccessToken, t.TokenType, t.IDToken = before.AccessToken, before.TokenType, before.IDToken
	if !moment.Sane(before.IssuedAt) || before.IssuedAt.After(t.IssuedAt) {
		t.Lifetime, t.Uncertain = 0, false // nobody knows how old it is
		return t
	}
	t.RefreshLifetime = lifeFrom(t, before.IssuedAt)
	t.IssuedAt, t.Lifetime, t.Uncertain = before.IssuedAt, before.Lifetime, before.Uncertain
	return t
}

// keptHalf plans and tells after half a token has been made durable. Other
// programs need the refresh token; sinks are told only as long as the access
// token beside it is worth something.
func (a answered) keptHalf(half success) {
	rec := half.record
	a.tellTimes(rec, half.doubts)
	a.keeper.mu.Lock()
	now := a.keeper.clock.Now()
	next := now.Wall
	if rec.Health.Halves > 1 {
		next = delayed{a.leased}.retry(schedule.Failure{InRow: rec.Health.Failures})
	} else {
		a.plan.dueAt(now.Wall, now)
	}
	a.keeper.mu.Unlock()
	a.bringToShared(rec)
	if rec.Token.Valid(now.Wall) {
		a.keeper.cfg.Wake(a.cfg.Name)
	}
	e := event.Event{
		Type: event.RefreshFailed, Kind: string(kindHalf), Version: rec.Version, Attempt: a.in.Attempt,
		Failures: rec.Health.Failures, Max: a.cfg.MaxFailures, Expiry: rec.Token.Expiry(), Next: next,
		Message: halfToken + "; it is asked again " + next.Format(time.RFC3339),
	}
	if a.answer.Token.Rescued != "" {
		e.Message += " (" + a.answer.Token.Rescued + ")"
	}
	a.Publish(slog.LevelWarn, e)
}

// deadOnArrival counts a refresh that brought an access token without a life as
// a failure: rec, the next version, is stored all the same, because its refresh
// token is the newest. It is no failure of a login, after which a refresh helps
// at once, nor of an answer that died while it waited in the spool. nil: the
// token lives.
func deadOnArrival(rec *store.Record, before store.Record, in store.Intent, recovered bool, now time.Time) error {
	t := rec.Token
	if t.Valid(now) || spool.IsLogin(in.Kind) || recovered && t.Lifetime > 0 {
		return nil
	}
	said := fmt.Sprintf("it says that the token lives %s", t.Lifetime)
	if t.Lifetime > 0 {
		said = "it says that the token died " + t.Expiry().UTC().Format(time.RFC3339)
	}
	err := fmt.Errorf("account %s: the broker has answered with an access token that is dead already (%s); "+
		"it is stored as version %d, and given to nobody", rec.Account, said, rec.Version)
	rec.Health = store.Health{
		Failures: before.Health.Failures + 1, LastError: err.Error(), LastKind: sdk.KindTransient, LastFailure: now,
	}
	return err
}

// tellDead tells of it as of any failed refresh.
func (a answered) tellDead(rec store.Record, next time.Time) {
	h := rec.Health
	a.Publish(slog.LevelWarn, event.Event{
		Type: event.RefreshFailed, Version: rec.Version, Attempt: rec.Attempt, Kind: string(h.LastKind),
		Failures: h.Failures, Max: a.cfg.MaxFailures, Next: next, Message: h.LastError,
	})
}

// outlived notes of a refresh token that has just worked after the end of its login
// that nobody knows when that was made: what a file told was another login's time.
func outlived(rec *store.Record, before store.Record, p sdk.Policy, in store.Intent) {
	if in.Kind == spool.KindRefresh && !p.Slides(momentsOf(before)) && rec.Token.RefreshLifetime == 0 && before.Token.RefreshLifetime == 0 && !before.RefreshExpiry.IsZero() && in.At.After(before.RefreshExpiry) {
		if before.LoginUncertain {
			rec.LoginAt, rec.LoginUncertain = time.Time{}, false
		} else { // or our clock runs ahead
			rec.LoginUncertain = true
		}
	}
}

// tellTimes warns once of what is odd about a token's times, and of wishes that they cut.
func (a answered) tellTimes(rec store.Record, doubts []belief.Doubt) {
	a.keeper.mu.Lock()
	p := policyOf(&a.cfg, a.keeper.nature())
	idle := schedule.Idle(p, rec.Token.Lifetime)
	p.BeforeExpiry = a.cfg.BeforeExpiry // what the provider wishes fits itself
	var news []string
	tell := func(key, text string) {
		if a.desk().told[key] {
			return
		}
		if a.desk().told == nil {
			a.desk().told = map[string]bool{}
		}
		a.desk().told[key] = true
		news = append(news, text)
	}
	for _, d := range doubts {
		tell(d.About, d.Text)
	}
	for _, cut := range schedule.Cut(p, rec.Token.Lifetime) {
		tell(cut, "refresh."+cut)
	}
	if idle != "" {
		tell("budget", "refresh."+idle)
	}
	a.keeper.mu.Unlock()
	for _, text := range news {
		a.Log().Warn(text)
	}
}
