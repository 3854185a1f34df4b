package refresh

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// A success may bring half a token: a new refresh token, whose predecessor is
// spent, and no access token. The half is kept like a whole one. What consumers
// have stays as it is, and an access token is asked for again: at once, once,
// and then with the pauses of any failure.

// kindHalf is Health.LastKind after such an answer.
const kindHalf sdk.Kind = "no_access_token"

func isHalf(t sdk.Token) bool { return t.AccessToken.IsZero() }

// nothingNew: the refresh token of half an answer is the one that was sent, or
// one before it.
func (k *Keeper) nothingNew(a *leased, in store.Intent, t sdk.Token) bool {
	fp := t.RefreshToken.Fingerprint()
	k.mu.Lock()
	defer k.mu.Unlock()
	return fp == "" || fp == in.Fingerprint || a.rec().Replaced(fp)
}

func errNothingNew(a *leased) error {
	return &sdk.Error{Kind: sdk.KindTransient, Message: fmt.Sprintf(
		"account %s: the broker answered without an access token and without a new refresh token; it will be tried again", a.cfg.Name)}
}

// success is what becomes of an answer.
type success struct {
	// record is the account's next version.
	record store.Record
	// doubt is what a person should hear of the token's times; "": nothing.
	doubt string
	// dead: the access token was dead when it came; nil: it lives.
	dead error
}

// successor is what becomes of an answer. The caller holds k.mu.
func (k *Keeper) successor(a *leased, in store.Intent, answer sdk.Answer) success {
	now, t := k.clock.Now().Wall, answer.Token
	half := isHalf(t)
	if held := a.state().Held(); held != nil && held.Attempt == in.Attempt {
		s := success{record: *held}
		if !half {
			s.dead = deadOnArrival(&s.record, a.rec(), in, answer.Recovered, now)
		}
		return s
	}
	t.Rescued = ""
	doubt := ""
	if !half {
		t, doubt = believe(t, k.policy, now)
	}
	origin := store.OriginRefresh
	if in.Kind == spool.KindExchange {
		origin = store.OriginLogin
	}
	rec := a.next(t, origin, in.Attempt, now)
	rec.Account, rec.Provider = a.cfg.Name, k.cfg.Provider
	descend(&rec, in)
	if origin == store.OriginLogin {
		rec.LoginAt, rec.LoginUncertain = t.IssuedAt, false
	}
	outlived(&rec, a.rec(), k.policy, in)
	rec.RefreshExpiry = refreshExpiry(rec, k.policy)
	if half {
		rec.Token = withAccessToken(rec.Token, a.rec().Token)
		rec.Health = a.rec().Health
		rec.Health.Failures++
		rec.Health.LastKind, rec.Health.LastFailure = kindHalf, now
		rec.Health.LastError = fmt.Sprintf("account %s: the broker gave a new refresh token, which is stored, and no access token", a.cfg.Name)
		rec.Health.Ambiguous = time.Time{}
		return success{record: rec}
	}
	dead := deadOnArrival(&rec, a.rec(), in, answer.Recovered, now)
	return success{rec, doubt, dead}
}

// withAccessToken gives t the access token that consumers have already, as old
// as it is.
func withAccessToken(t, before sdk.Token) sdk.Token {
	if before.AccessToken.IsZero() {
		t.Lifetime = 0
		return t
	}
	if t.RefreshLifetime > 0 { // it counts from another moment now
		t.RefreshLifetime += t.IssuedAt.Sub(before.IssuedAt)
	}
	t.AccessToken, t.TokenType, t.IDToken = before.AccessToken, before.TokenType, before.IDToken
	t.IssuedAt, t.Lifetime, t.Uncertain = before.IssuedAt, before.Lifetime, before.Uncertain
	return t
}

// keptHalf plans and tells after half a token has been made durable. Other
// programs need the refresh token; sinks are told only as long as the access
// token beside it is worth something.
func (k *Keeper) keptHalf(a *leased, rec store.Record, in store.Intent, answer sdk.Answer) {
	k.mu.Lock()
	now := k.clock.Now()
	next := now.Wall
	if again := rec.Health.Failures > 1 && a.desk().halves > 0; again {
		next = k.retry(a.account, schedule.Failure{InRow: rec.Health.Failures})
	} else {
		k.dueAt(a.account, now.Wall, now)
	}
	a.desk().halves++
	k.mu.Unlock()
	k.bringToShared(a, in, answer, rec)
	if rec.Token.Valid(now.Wall) {
		k.cfg.Wake(a.cfg.Name)
	}
	e := event.Event{
		Type: event.RefreshFailed, Kind: string(kindHalf), Version: rec.Version, Attempt: in.Attempt,
		Failures: rec.Health.Failures, Max: a.cfg.MaxFailures, Expiry: rec.Token.Expiry(), Next: next,
		Message: "the broker gave a new refresh token, which is stored, and no access token; it is asked again " + next.Format(time.RFC3339),
	}
	if answer.Token.Rescued != "" {
		e.Message += " (" + answer.Token.Rescued + ")"
	}
	k.publish(slog.LevelWarn, a.cfg.Name, e)
}
