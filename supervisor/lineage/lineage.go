// Package lineage says how a token that was found somewhere stands to an
// account's record: which of the two is newer. Shared files, what sinks hold,
// what they give back, and imports all ask here. It is pure; its README has the
// table of its rules.
package lineage

import (
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Ours is what is known here of an account.
type Ours struct {
	Account, Provider string
	// ClientID is the account's; "": not known.
	ClientID string
	// Record is the newest one; of version 0: there is none.
	Record store.Record
	// Open: nobody knows whether the record's refresh token was used up.
	Open bool
	// Policy is what is known of the provider's tokens.
	Policy sdk.Policy
	// Owner is the name of another account that has, or had, the refresh token
	// with that fingerprint; "": none has. It is asked of unknown ones only;
	// nil: nobody can be asked.
	Owner func(fingerprint string) string
	// Left is the name of an account in no configuration that may be this one under the
	// name it had before, by the refresh token with that fingerprint; "": none is. It is
	// asked where there is no record; nil: nobody can be asked.
	Left func(fingerprint string) string
	// Free is when the account's name was last free of another login, which was forgotten
	// or goes on under another name; zero: never, or nobody knows.
	Free time.Time
}

// Found is what a place holds of the account.
type Found struct {
	// Document with WrittenAt, when the place was written last by its own
	// clock.
	Document format.Document
	// Hidden: something is there that can't be read. Rest: because it is cut off or
	// damaged; a refresh token that stands whole in it is in Document, or several are.
	Hidden, Rest bool
	// Wrote is when we have written there last; zero: never, or not known.
	Wrote time.Time
}

// Judgement is the answer.
type Judgement struct {
	Verdict Verdict
	// Owner is whose token it is, of OtherAccount, for people: "account NAME". Left is
	// that name if it is in no configuration: see [Ours.Left].
	Owner, Left string
}

// Verdict is how what was found stands to the record.
type Verdict int

const (
	// Silent: it tells nothing of a refresh token.
	Silent Verdict = iota
	// Same: the record's own refresh token, and the same access token.
	Same
	// Renewed: the record's own, with an access token that is younger.
	Renewed
	// Stale: the record's own, with an access token that is older.
	Stale
	// Refused: the record's own, and the broker has refused it.
	Refused
	// Past: one that the record's has replaced.
	Past
	// Newer: one that is not known here and, by all that can be seen, has
	// replaced ours, or is all that there is.
	Newer
	// Doubtful: one that is not known, and may have replaced ours.
	Doubtful
	// Outlived: one that is not known, and the broker has given us ours since
	// it was put there.
	Outlived
	// Unknown: one that is not known, and nothing says that it is newer.
	Unknown
	// Ended: one that is not known, and whose login is over by its own word.
	Ended
	// OtherAccount: it is, or was, another account's.
	OtherAccount
	// OtherApp: another client's.
	OtherApp
)

// Newer says whether what was found is to be used instead of the record's.
func (v Verdict) Newer() bool { return v == Newer || v == Renewed }

// Known says whether the refresh token is one of the record's, present or past.
func (v Verdict) Known() bool {
	return v == Same || v == Renewed || v == Stale || v == Refused || v == Past
}

const (
	// sameExpiry is how far two notes of one expiry may lie apart: formats
	// round to seconds.
	sameExpiry = 2 * time.Second
	// offByZone is by how much a local time without a zone may be read too
	// early: by the hour that comes twice when summer time ends. Tokens of our
	// own from so short a time ago are all known by their fingerprints, so one
	// that is not is another program's, and newer; to use ours after it could
	// end the grant.
	offByZone = time.Hour + sameExpiry
	// coarseClock is more than the clock of a file system lags behind.
	coarseClock = time.Second
)

// Judge decides by the refresh token first, because clocks and time zones of
// other programs may be off. Times only say which of two is younger where the
// tokens do not: its own, as far as they are possible, and the place's. A time
// that can't be, on either side, says nothing.
func (o Ours) Judge(f Found, now time.Time) Judgement {
	d := f.Document
	theirs := d.RefreshToken.Fingerprint()
	has := o.Record.Version > 0
	switch {
	case len(d.Several) > 0:
		return Judgement{Verdict: o.several(f, now)}
	case theirs == "":
		return Judgement{Verdict: o.hidden(f, now)}
	case has && theirs == o.Record.Token.RefreshToken.Fingerprint():
		return Judgement{Verdict: o.kept(f, now)}
	case has && o.Record.Replaced(theirs):
		return Judgement{Verdict: Past}
	}
	if !has && o.Left != nil {
		if left := o.Left(theirs); left != "" {
			return Judgement{OtherAccount, "account " + left, left}
		}
	}
	if owner := o.owner(d, theirs); owner != "" {
		return Judgement{Verdict: OtherAccount, Owner: owner}
	}
	switch {
	case differs(d.ClientID, o.ClientID):
		return Judgement{Verdict: OtherApp}
	case o.ended(d, now):
		return Judgement{Verdict: Ended}
	}
	before, verdict := OfBefore(o.Free, d), Newer
	if has && !o.Record.Refused() { // otherwise nothing is lost by it
		verdict = o.unknown(f, now)
	}
	switch {
	// A file that was copied together with its old time is no older for it:
	// the token's own end counts for more, unless it is another login's.
	case has && !o.Record.Refused() && (verdict != Newer || before) && o.outlived(f, now):
		verdict = Outlived
	case verdict == Newer && before:
		verdict = Doubtful
	}
	return Judgement{Verdict: verdict}
}

// clocksDiffer is by how much a place's clock may be ahead of ours.
const clocksDiffer = time.Minute

// OfBefore says whether a document that stands under a name which was free at a moment
// may be the login that had the name before: it, or what is in it, is not from afterwards
// as every time says that is known. Of a name that was never free it is not.
func OfBefore(free time.Time, d format.Document) bool {
	if free.IsZero() {
		return false
	}
	var from time.Time // the earliest that is told
	for _, at := range []time.Time{moment.Known(d.WrittenAt), moment.Known(d.IssuedAt)} {
		if from.IsZero() || !at.IsZero() && at.Before(from) {
			from = at
		}
	}
	return !from.After(free.Add(clocksDiffer))
}

// several is the verdict of refresh tokens that stand side by side in what is left of a
// place. None of them is known to be the living one, so none is taken, and only if each is
// known here, or outlived, is nothing lost with all of them.
func (o Ours) several(f Found, now time.Time) Verdict {
	all, found := Past, f.Document.Several
	f.Document.Several = nil
	for _, one := range found {
		f.Document.RefreshToken = one
		switch v := o.Judge(f, now).Verdict; {
		case v.Newer(), v == Doubtful:
			return Doubtful
		case v.Known():
		case v == Outlived && all == Past:
			all = Outlived
		case v != Outlived:
			all = Unknown
		}
	}
	return all
}

func (o Ours) hidden(f Found, now time.Time) Verdict {
	w := o.written(f, now)
	switch {
	case !f.Hidden && !f.Rest, o.Record.Version == 0, w != untold && w != after:
		return Silent
	case f.Rest && o.outlived(f, now):
		return Outlived
	}
	return Doubtful
}

// kept is the verdict at a broker that keeps its refresh tokens.
func (o Ours) kept(f Found, now time.Time) Verdict {
	later, known := o.later(f.Document, now)
	theirs := f.Document.AccessToken
	switch {
	case o.Record.Refused():
		return Refused
	case theirs.Equal(o.Record.Token.AccessToken):
		return Same
	case theirs.IsZero():
		return Stale
	case known && later > sameExpiry, !known && o.written(f, now) == after:
		return Renewed
	}
	return Stale
}

// owner says for people to whom else a document belongs, by its own word or
// because another account has, or had, its refresh token.
func (o Ours) owner(d format.Document, fingerprint string) string {
	switch {
	case differs(d.Account, o.Account):
		return "account " + d.Account
	case differs(d.Provider, o.Provider):
		return "provider " + d.Provider
	case o.Owner == nil:
		return ""
	}
	if name := o.Owner(fingerprint); name != "" {
		return "account " + name
	}
	return ""
}

func differs(a, b string) bool { return a != "" && b != "" && a != b }

// ended says whether a document's login is over by its own word. One that was
// written after that is an old note that somebody kept beside a new token.
func (o Ours) ended(d format.Document, now time.Time) bool {
	ends, written, expiry := moment.Known(d.RefreshExpiry), notAfter(d.WrittenAt, now), moment.Known(d.Expiry)
	if written.IsZero() && !expiry.IsZero() && o.Policy.AccessLifetime > 0 {
		written = moment.Add(expiry, -o.Policy.AccessLifetime)
	}
	return !ends.IsZero() && !now.Before(ends) && !written.After(ends)
}

func (o Ours) fromBroker() bool {
	return o.Record.Origin == store.OriginRefresh || o.Record.Origin == store.OriginLogin
}

// came is when the record's token came; zero: not known. An answer may have
// waited in a spool for long before it was stored.
func (o Ours) came(now time.Time) time.Time {
	at := notAfter(o.Record.StoredAt, now)
	if issued := notAfter(o.Record.Token.IssuedAt, now); o.fromBroker() && !issued.IsZero() && issued.Before(at) {
		return issued
	}
	return at
}

// outlived says whether the broker itself has given us the record's token,
// which so was alive at that moment, after the place was written.
func (o Ours) outlived(f Found, now time.Time) bool {
	written := notAfter(f.Document.WrittenAt, now)
	return o.fromBroker() && !written.IsZero() && o.came(now).After(written.Add(coarseClock))
}

// unknown compares the token's own end against the place's time.
func (o Ours) unknown(f Found, now time.Time) Verdict {
	later, known := o.later(f.Document, now)
	known = known && (later.Abs() > sameExpiry || f.Document.Naive)
	least := sameExpiry
	if f.Document.Naive {
		least = -offByZone
	}
	switch w := o.written(f, now); {
	case known && later > least:
		if w == asLeft {
			return Doubtful
		}
		return Newer
	case w == after:
		if known && !o.Open {
			return Doubtful
		}
		return Newer
	case w == untold:
		return Doubtful
	}
	return Unknown
}

// later is by how much the document's access token outlives the record's;
// known is false if either end is not known, or was read in a wrong zone. The end
// of ours is not, if it begins in the future: the clock was set back since.
func (o Ours) later(d format.Document, now time.Time) (later time.Duration, known bool) {
	theirs := TokenOf(d, o.Policy, now).Token.Expiry()
	if d.AccessToken.IsZero() { // what the file says of it is all that there is
		theirs = moment.Known(d.Expiry)
	}
	t := o.Record.Token
	mine := moment.Known(t.Expiry())
	if theirs.IsZero() || mine.IsZero() || notAfter(t.IssuedAt, now).IsZero() {
		return 0, false
	}
	// One from a zone that is ahead was cut to what is possible by TokenOf.
	if theirs.Before(mine) && ZoneFault(d, o.Policy, now) != "" {
		return 0, false
	}
	return theirs.Sub(mine), true
}

// Later says whether the access token of a ends after that of b, of two documents
// that were found, as far as that is possible.
func Later(a, b format.Document, p sdk.Policy, now time.Time) bool {
	return TokenOf(a, p, now).Token.Expiry().After(TokenOf(b, p, now).Token.Expiry())
}

// witness is what a place's time says.
type witness int

const (
	untold witness = iota // nothing
	after                 // written since we have done that last, or since ours came
	before                // written before ours came here; we have never written there
	asLeft                // not written since we have done that last
)

func (o Ours) written(f Found, now time.Time) witness {
	at := notAfter(f.Document.WrittenAt, now)
	wrote := notAfter(f.Wrote, now)
	last := wrote
	if last.IsZero() {
		last = o.came(now)
	}
	switch {
	case at.IsZero(), last.IsZero(), moment.Sane(f.Wrote) && wrote.IsZero():
		return untold
	case at.After(last):
		return after
	case wrote.IsZero():
		return before
	}
	return asLeft
}
