// Package belief bounds what a provider says of times, before any of that enters a
// record, an intent, a plan or a text: a provider may be anybody's, and what it passes on
// the broker's. Whoever calls a provider takes what comes back through here.
//
// An access token counts from when its answer came, by our own clock, which is the one
// by which it dies here: so a time that has not come yet is taken as now.
package belief

import (
	"errors"
	"fmt"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
)

const (
	// assumedLifetime is for an answer of a broker of which nobody knows how
	// long its tokens live: neither it nor the provider's policy says so.
	assumedLifetime = 15 * time.Minute
	// longestLife is the longest that a word on a token's life is believed.
	longestLife = schedule.Farthest
	// longestLogin is the same of a login that waits for a person.
	longestLogin = 24 * time.Hour
	// longestSkew is more than any clock is wrong that began in 1970.
	longestSkew = 100 * 366 * 24 * time.Hour
	// longestPolicy is more than any broker documents.
	longestPolicy = 100 * 366 * 24 * time.Hour
	// clocksDiffer is how far ahead of now an answer may say that it came, and nobody
	// has to hear of it.
	clocksDiffer = 2 * time.Second
	// farOff is by how many times a lifetime must differ from the known one to
	// be odd, and thousandfold from where on the unit looks wrong.
	farOff       = 10
	thousandfold = 300
)

// Doubt is what a person should hear of a token's times, once for each About.
type Doubt struct{ About, Text string }

// Answer is an answer of a provider whose tokens live as p says, or the failure of the
// call, as far as its times are believed. Begun is when its attempt began.
func Answer(a sdk.Answer, err error, p sdk.Policy, begun, now time.Time) (sdk.Answer, []Doubt, error) {
	if err != nil {
		return a, nil, Failure(err)
	}
	var doubts []Doubt
	var spooled time.Time
	if a.Recovered && !begun.After(now) {
		spooled = moment.Known(begun)
	}
	a.Token, doubts = token(a.Token, a.Recovered, spooled, p, now)
	return a, doubts, nil
}

// token is t with times that can be. Recovered: it has waited in a spool, for no longer
// than since spooled, where that is known.
func token(t sdk.Token, recovered bool, spooled time.Time, p sdk.Policy, now time.Time) (sdk.Token, []Doubt) {
	var doubts []Doubt
	came, ahead := t.IssuedAt, t.IssuedAt.Sub(now)
	if !moment.Sane(came) || ahead > 0 {
		t.IssuedAt = now
	}
	ageless := recovered && (!moment.Sane(came) || ahead > clocksDiffer) // nobody knows for how long it has waited
	from := "now on"
	if !moment.Sane(came) && !spooled.IsZero() { // it lives a little longer than that, which costs nobody anything
		t.IssuedAt, ageless, from = spooled, false, "when its attempt began"
	}
	switch {
	case came.IsZero(): // it does not say
	case !moment.Sane(came):
		doubts = append(doubts, Doubt{"issued", "the provider says of its answer that it came at a time when none can have come; it counts from " + from + ". " + tellAuthor})
	case ahead > clocksDiffer && !recovered: // of one that has waited, our clock may have been set back since
		doubts = append(doubts, Doubt{"issued", fmt.Sprintf("the provider says of its answer that it came %s from now; it counts from now on. ", ahead.Round(time.Second)) + tellAuthor})
	}
	if t.RefreshLifetime < 0 || t.RefreshLifetime > longestLife {
		t.RefreshLifetime = 0 // as good as no end that is known
	}
	t.Skew = moment.Within(t.Skew, -longestSkew, longestSkew)
	switch {
	case t.AccessToken.IsZero(): // there is nothing that could live
		t.Lifetime, t.Uncertain = 0, false
		return t, doubts
	case ageless:
		t.Lifetime, t.Uncertain = moment.Within(t.Lifetime, -longestLife, 0), false
		return t, doubts
	}
	var odd string
	if t.Lifetime, t.Uncertain, odd = lifetime(t.Lifetime, t.Uncertain, p); odd != "" {
		doubts = append(doubts, Doubt{"lifetime " + t.Lifetime.Round(time.Minute).String(), odd})
	}
	return t, doubts
}

const tellAuthor = "It should go by this machine's clock, and not by the broker's or another zone's: tell the author of the provider"

// lifetime is how long an access token lives of which its answer says that, and what is
// odd about it; "": nothing.
func lifetime(said time.Duration, uncertain bool, p sdk.Policy) (life time.Duration, assumed bool, odd string) {
	if said == 0 {
		if life = moment.Within(p.AccessLifetime, 0, longestLife); life == 0 {
			life = assumedLifetime
		}
		return life, true, ""
	}
	life = moment.Within(said, -longestLife, longestLife)
	switch {
	case uncertain || life < 0:
		return life, uncertain, ""
	case p.AccessLifetime <= 0 && said == life:
		return life, false, ""
	case p.AccessLifetime <= 0:
		return life, false, fmt.Sprintf("the broker says that this access token lives %s, which no token does; %s are believed", said, life)
	}
	more, less := life/p.AccessLifetime, p.AccessLifetime/life
	if more < farOff && less < farOff {
		return life, false, ""
	}
	odd = fmt.Sprintf("the broker says that this access token lives %s, and such tokens are known to live %s", life, p.AccessLifetime)
	if max(more, less) >= thousandfold {
		odd += " (milliseconds for seconds?)"
	}
	return life, false, odd + "; the broker is believed. If consumers are refused before that, set refresh.every for this account"
}

// Failure is err with a pause that can be.
func Failure(err error) error {
	var e *sdk.Error
	if errors.As(err, &e) && (e.RetryAfter < 0 || e.RetryAfter > schedule.MaxRetryAfter) { // it is of one call alone
		e.RetryAfter = moment.Within(e.RetryAfter, 0, schedule.MaxRetryAfter)
	}
	return err
}

// Spooled is what a provider's spool holds: an attempt that began at a time when none can
// have begun, or in the future, may have begun now.
func Spooled(entries []spool.Entry, now time.Time) []spool.Entry {
	for n := range entries {
		if at := &entries[n].BegunAt; !moment.Sane(*at) || at.After(now) {
			*at = now
		}
	}
	return entries
}

// Login is a login that a provider has begun. One that ends at a time when none can end
// has no end that is known; one that ends in a year is polled for no year.
func Login(l sdk.Login, now time.Time) sdk.Login {
	if l.Expires = moment.Known(l.Expires); l.Expires.After(now.Add(longestLogin)) {
		l.Expires = now.Add(longestLogin)
	}
	l.PollEvery = moment.Within(l.PollEvery, 0, longestLogin)
	return l
}

// Description is what a provider says of itself and of its broker. What is negative is
// not said, and a revocation that ends something unheard of ends all there is.
func Description(d sdk.Description) sdk.Description {
	p := &d.Policy
	for _, said := range []*time.Duration{
		&p.AccessLifetime, &p.ReuseGrace, &p.BeforeExpiry, &d.KeepaliveEvery, &d.Limits.LockedOutFor, &p.Access.Lifetime, &p.Access.Idle,
	} {
		*said = moment.Within(*said, 0, longestLife)
	}
	for _, said := range []*time.Duration{&p.RefreshLifetime, &p.Refresh.Lifetime, &p.Refresh.Idle, &p.Grant.Lifetime, &p.Grant.Idle} {
		*said = moment.Within(*said, 0, longestPolicy)
	}
	switch {
	case !d.Revoker:
		d.Revokes = ""
	case d.Revokes == "":
		d.Revokes = sdk.RevokesGrant
	case d.Revokes != sdk.RevokesToken && d.Revokes != sdk.RevokesGrant:
		d.Revokes = sdk.RevokesClient
	}
	return d
}
