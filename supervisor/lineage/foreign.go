package lineage

import (
	"fmt"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

const (
	// assumedLifetime is for a file that says neither when its token was issued
	// nor a time that lies ahead.
	assumedLifetime = 20 * time.Minute
	// longestLifetime is what is believed of a file where nobody knows the
	// broker's own.
	longestLifetime = 366 * 24 * time.Hour
	// generous is by how many times a file may exceed the lifetime that the
	// provider knows: brokers change theirs, and clocks differ.
	generous = 2
	// zoneSlack is how much more a local time without a zone may claim: less
	// than any two zones differ by.
	zoneSlack = 5 * time.Minute
	// Zones differ by multiples of zoneStep, and by farthestZones at most; a
	// token is in its file within zoneSure of its issue.
	zoneStep      = 15 * time.Minute
	farthestZones = 26 * time.Hour
	zoneSure      = time.Minute
	// fileClockSlack is how far a file system's clock may be ahead.
	fileClockSlack = time.Minute
)

// Foreign is the token of a document that another program wrote.
type Foreign struct {
	Token sdk.Token
	// LoginAt is the document's; zero: it has none, or one that can't be.
	LoginAt time.Time
	// Doubts are what is not believed of the document, for people.
	Doubts []string
	// Zone: what is wrong looks like a local time read in the wrong zone.
	Zone bool
}

// TokenOf is the token of a document that another program wrote, whose times
// are held against what is possible: a token lives no longer than those of its
// provider, and was not issued after now. What can't be known is left open.
func TokenOf(d format.Document, p sdk.Policy, now time.Time) (f Foreign) {
	defer func() { f.Token.RefreshLifetime = refreshLife(f, d, p, now) }()
	f = Foreign{Token: sdk.Token{
		AccessToken: d.AccessToken, RefreshToken: d.RefreshToken, IDToken: d.IDToken,
		TokenType: d.TokenType, Scope: d.Scope, Extra: d.Extra, Uncertain: d.Uncertain,
	}}
	f.LoginAt = notAfter(d.LoginAt, now)
	written := notAfter(d.WrittenAt, now)
	issued := notAfter(d.IssuedAt, now)
	from := now
	for _, t := range []time.Time{written, issued} {
		if !t.IsZero() {
			from = t
		}
	}
	expiry := moment.Known(d.Expiry)
	if expiry.IsZero() && d.Lifetime != 0 {
		f.Token.Uncertain = f.Token.Uncertain || issued.IsZero()
		expiry = moment.Add(from, max(d.Lifetime, 0))
	}
	if d.AccessToken.IsZero() { // nobody can use it before it is refreshed
		f.Token.IssuedAt, f.Token.Lifetime, f.Token.Uncertain = moment.Add(now, -assumedLifetime), assumedLifetime, true
		return f
	}
	if expiry.IsZero() {
		f.Token.IssuedAt, f.Token.Uncertain = from, false // the end is not known, and so not assumed either
		return f
	}
	if left := expiry.Sub(now); left > believed(d, p) {
		f.doubt(d, p, left)
		expiry, f.Token.Uncertain = moment.Add(from, lifetimeOf(p)), true
	}
	f.Token.IssuedAt = begun(issued, written, expiry, p, now)
	f.Token.Lifetime = expiry.Sub(f.Token.IssuedAt)
	return f
}

// refreshLife is that of f's refresh token, as far as the document tells it: a lifetime
// counts from when the document was written. 0: it does not, or what the provider says
// is as much.
func refreshLife(f Foreign, d format.Document, p sdk.Policy, now time.Time) time.Duration {
	if d.RefreshLifetime <= 0 {
		return refreshLeft(f, d.RefreshExpiry, p, now)
	}
	from := now
	for _, at := range []time.Time{notAfter(d.WrittenAt, now), notAfter(d.IssuedAt, now)} {
		if !at.IsZero() {
			from = at
		}
	}
	most := longestLifetime
	if p.RefreshLifetime > 0 {
		most = p.RefreshLifetime
	}
	return max(moment.Add(from, min(d.RefreshLifetime, most)).Sub(f.Token.IssuedAt), time.Second)
}

// refreshLeft is the same of a document that tells a moment. It is believed where the
// provider knows no end, or a later one. One that is over is an old note beside a new
// token, or our clock runs ahead: the broker will say.
func refreshLeft(f Foreign, end time.Time, p sdk.Policy, now time.Time) time.Duration {
	end = moment.Known(end)
	known := p.Ends(sdk.Moments{Login: f.LoginAt, Issued: f.Token.IssuedAt, Access: f.Token.Lifetime, Assumed: f.Token.Uncertain}).Refresh.At
	if !end.After(now) || end.Sub(now) > longestLifetime || !known.IsZero() && end.After(known.Add(-sameExpiry)) {
		return 0
	}
	return end.Sub(f.Token.IssuedAt)
}

// notAfter is t if it is sane and not after now.
func notAfter(t, now time.Time) time.Time {
	if t = moment.Known(t); t.After(now.Add(fileClockSlack)) {
		return time.Time{}
	}
	if t.After(now) {
		return now
	}
	return t
}

// begun is when the life of a token began that ends at expiry: as its file says,
// or as the provider's policy tells; never so that it had no life, and, where that is a
// guess, never so early that a time of the day has killed since what its file says lives.
func begun(issued, written, expiry time.Time, p sdk.Policy, now time.Time) time.Time {
	at := issued
	if at.IsZero() && p.AccessLifetime > 0 {
		at = moment.Add(expiry, -p.AccessLifetime)
		if seen := seen(written, now); at.After(now) {
			at = now
		} else if expiry.After(now) && strikes(p, at, seen) {
			at = seen
		}
	}
	if at.IsZero() {
		at = written
	}
	if at.IsZero() {
		at = now
	}
	if !at.Before(expiry) {
		at = moment.Add(expiry, -assumedLifetime)
	}
	if longest := moment.Add(expiry, -longestLifetime); at.Before(longest) {
		at = longest
	}
	return at
}

// seen is when a document's token was there for certain.
func seen(written, now time.Time) time.Time {
	if written.IsZero() {
		return now
	}
	return written
}

// strikes says whether a time of the day at which the provider's tokens die comes
// after one moment, and not after another: what lives at the other was made later.
func strikes(p sdk.Policy, after, until time.Time) bool {
	for _, d := range []sdk.Deadline{p.Access, p.Refresh, p.Grant} {
		if at, ok := d.Clock.Next(after); ok && !at.After(until) {
			return true
		}
	}
	return false
}

func lifetimeOf(p sdk.Policy) time.Duration {
	if p.AccessLifetime <= 0 {
		return longestLifetime
	}
	return min(p.AccessLifetime, longestLifetime)
}

// believed is how much life a document may claim.
func believed(d format.Document, p sdk.Policy) time.Duration {
	known := lifetimeOf(p)
	switch {
	case p.AccessLifetime <= 0:
		return longestLifetime
	case d.Naive:
		return moment.Plus(known, zoneSlack)
	default:
		return min(generous*known, longestLifetime)
	}
}

// doubt says what is wrong with a claim to live for left.
func (f *Foreign) doubt(d format.Document, p sdk.Policy, left time.Duration) {
	claim := fmt.Sprintf("the file says that its access token lives for another %s, and the provider's live for %s at most",
		left.Round(time.Second), lifetimeOf(p))
	if p.AccessLifetime <= 0 {
		claim = fmt.Sprintf("the file says that its access token lives for another %d days, which no token does", left/(24*time.Hour))
	}
	f.Zone = d.Naive
	if d.Naive {
		claim += "; its times are local ones without a zone, and the zone in which they are read is most likely wrong"
	}
	f.Doubts = append(f.Doubts, claim+"; less is assumed")
}

// ZoneFault says what shows that a document's local times were written in
// another zone than that in which they are read; "": nothing does. A token has
// not lived longer than those of its provider do, and was alive when it came
// into the file.
func ZoneFault(d format.Document, p sdk.Policy, now time.Time) string {
	if !d.Naive || p.AccessLifetime <= 0 || !moment.Sane(d.Expiry) {
		return ""
	}
	written := notAfter(d.WrittenAt, now)
	from, since := written, "from the moment at which the file was written"
	if written.IsZero() {
		from, since = now, "from now on"
	}
	life := d.Expiry.Sub(from)
	if life <= p.AccessLifetime+zoneSlack && (life > -zoneSlack || written.IsZero()) {
		return ""
	}
	apart := moment.Minus(life, p.AccessLifetime)
	off := apart.Round(zoneStep)
	if off < 0 && (off < -farthestZones || (apart-off).Abs() > zoneSure) {
		return "" // an old file that was copied, and so looks younger than it is
	}
	side := "ahead of"
	if off < 0 {
		side = "behind"
	}
	return fmt.Sprintf("its local times can't be right: by them the access token lives for %s %s, and the provider's live for %s; "+
		"whoever wrote them seems to be %s %s the time zone in which they are read",
		life.Round(time.Second), since, p.AccessLifetime, off.Abs(), side)
}
