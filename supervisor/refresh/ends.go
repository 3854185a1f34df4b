package refresh

import (
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// When the parts of an account die is computed by [sdk.Policy.Ends] alone, and
// noted in its record, where the schedule, the status, sinks and alerts read it.

func momentsOf(rec store.Record) sdk.Moments {
	return sdk.Moments{
		Login: rec.LoginAt, Issued: rec.Token.IssuedAt,
		Access: rec.Token.Lifetime, Assumed: rec.Token.Uncertain, Refresh: max(rec.Token.RefreshLifetime, 0),
	}
}

// lifeFrom is the life of t's refresh token counted from another moment, if it is known;
// 0: it is not, or was over then.
func lifeFrom(t sdk.Token, at time.Time) time.Duration {
	if t.RefreshLifetime <= 0 || !moment.Sane(t.IssuedAt) || !moment.Sane(at) {
		return 0
	}
	return max(moment.Add(t.IssuedAt, t.RefreshLifetime).Sub(at), 0)
}

// keepEnd lets the refresh token of rec, which was that of the version before, die when an
// earlier answer or a document said, if nothing newer is said: an answer without a refresh
// token leaves that as it is (RFC 6749, section 6). Where the provider says that each
// refresh starts its life anew, it does so with the one that the broker has named.
func keepEnd(rec *store.Record, before store.Record, p sdk.Policy) {
	t, was := &rec.Token, before.Token
	if t.RefreshLifetime != 0 || t.RefreshToken.IsZero() || !t.RefreshToken.Equal(was.RefreshToken) {
		return
	}
	if !p.Sliding && !p.Refresh.Sliding {
		t.RefreshLifetime = lifeFrom(was, t.IssuedAt)
		return
	}
	if foreignOrigin(before.Origin) { // which named what was left of it
		return
	}
	came := was.IssuedAt
	if before.Health.Halves > 0 { // beside an older access token
		came = before.StoredAt
	}
	t.RefreshLifetime = lifeFrom(was, came)
}

// endMoves says whether the next token puts off the end of rec's login.
func endMoves(rec store.Record, p sdk.Policy) bool {
	return rec.Way == store.WayRenew || rec.Way == store.WayMint || rec.Way == store.WayRefresh && p.Slides(momentsOf(rec))
}

// noteEnds writes into rec when what it spends dies, and lets its access token
// live no longer than the policy allows, which tells its end too where nothing else
// does and a login alone brings the next one. A token that came after its end shows
// that nobody knows that end.
func noteEnds(rec *store.Record, p sdk.Policy) {
	ends := p.Ends(momentsOf(*rec))
	rec.RefreshExpiry = ends.Refresh.At
	t := &rec.Token
	if t.Lifetime == 0 && rec.Way == store.WayLogin && ends.Access.At.After(t.IssuedAt) {
		t.Lifetime, t.Uncertain = ends.Access.At.Sub(t.IssuedAt), !ends.Access.Certain
	}
	if t.Lifetime > 0 && ends.Access.At.After(t.IssuedAt) && ends.Access.At.Before(t.Expiry()) {
		t.Lifetime, t.Uncertain = ends.Access.At.Sub(t.IssuedAt), t.Uncertain || !ends.Access.Certain
	}
	switch rec.Way {
	case store.WayRenew, store.WayLogin: // the access token is all that there is of the login
		rec.RefreshExpiry = ends.Access.At
	case store.WayMint: // whatever ends, the key does not
		rec.RefreshExpiry = time.Time{}
	}
}

// correctEnds is noteEnds for a record that came before the policy was known, or of
// a program that knew another one: what was known of its ends is not put off.
func correctEnds(rec *store.Record, p sdk.Policy) {
	had := rec.RefreshExpiry
	if noteEnds(rec, p); rec.Way != store.WayMint && !had.IsZero() && (rec.RefreshExpiry.IsZero() || had.Before(rec.RefreshExpiry)) {
		rec.RefreshExpiry = had
	}
}

// endIsSure says whether the end of rec's refresh token rests on no guess.
func endIsSure(rec store.Record, p sdk.Policy) bool {
	ends := p.Ends(momentsOf(rec))
	if rec.Way != store.WayRefresh {
		return ends.Access.Certain || ends.Access.At.IsZero()
	}
	end := ends.Refresh
	return !rec.LoginUncertain && (end.Certain || end.At.IsZero())
}

// grantEnd is when the login that rec comes from is over, however it is refreshed; zero:
// nobody knows, or it does not end so.
func grantEnd(rec store.Record, n nature) sdk.End {
	switch {
	case !n.met || rec.Version == 0 || rec.Way == store.WayMint:
		return sdk.End{}
	case endMoves(rec, n.policy):
		end := n.policy.Ends(momentsOf(rec)).Grant
		return sdk.End{At: end.At, Certain: end.Certain && !rec.LoginUncertain}
	}
	return sdk.End{At: rec.RefreshExpiry, Certain: endIsSure(rec, n.policy)}
}

// refreshLife is for how long rec's refresh token lives in all; 0: nobody knows.
func refreshLife(rec store.Record, p sdk.Policy) time.Duration {
	if rec.Way != store.WayRefresh {
		return max(rec.Token.Lifetime, 0)
	}
	for _, life := range []time.Duration{rec.Token.RefreshLifetime, p.Refresh.Lifetime, p.RefreshLifetime} {
		if life > 0 {
			return life
		}
	}
	return 0
}

// LoginEnd is what is known of the end of a login.
type LoginEnd int

const (
	// EndKnown: it is known, or there is none.
	EndKnown LoginEnd = iota
	// EndUnknown: it comes a fixed time after the login, and nobody knows
	// when that was.
	EndUnknown
	// EndUnmet: it may be so. How the broker treats its tokens is not known.
	EndUnmet
)

// loginEnd says what is known of the end of the login that rec comes from.
func loginEnd(rec store.Record, n nature) LoginEnd {
	switch {
	case rec.Version == 0 || !rec.RefreshExpiry.IsZero() || !rec.LoginAt.IsZero() || rec.Token.RefreshLifetime > 0:
		return EndKnown
	case !n.met:
		return EndUnmet
	case rec.Way == store.WayRefresh && n.policy.CountsFromLogin():
		return EndUnknown
	default:
		return EndKnown
	}
}
