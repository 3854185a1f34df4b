// Package readback says how that which a destination holds of an account
// stands to the account's record: a place that we write is not believed to
// hold what we wrote. It is pure; its README has the table of its rules.
package readback

import (
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Question asks what a destination holds of one account.
type Question struct {
	Account, Provider string
	// Since: what can be seen to be as it was then need not be read; zero:
	// everything is read.
	Since time.Time
}

// Held is what a destination holds of one account.
type Held struct {
	// Untouched: nothing has changed there since Question.Since.
	Untouched bool

	// Document as far as it could be read. Without a refresh token there is
	// nothing to go by.
	Document format.Document
	// At is when the destination was last written, by its own clock; zero: it
	// does not say.
	At time.Time
	// Hidden: something is there that we may not read.
	Hidden bool
	// File is its path, if it is a file.
	File string
}

// Finding is how what is held stands to the record.
type Finding int

const (
	// Silent: it tells nothing of a refresh token.
	Silent Finding = iota
	// Absent: there is nothing, or nothing whole.
	Absent
	// Ours: the record's own refresh token.
	Ours
	// Past: one that the record has had before.
	Past
	// Outlived: one that is not known, and the broker has given us ours since
	// it was put there.
	Outlived
	// Living: one that is not known and, by all that can be seen, the living
	// one: it is used instead of ours.
	Living
	// Doubtful: one that is not known and may be the living one. It is not
	// written over, and ours is not spent before it has to be.
	Doubtful
	// Strange: one that is not known, and nothing says that it is the newer
	// one. It is not written over, and ours is used.
	Strange
)

// Unknown says whether what is held must not be written over, because nobody
// may have it but that place.
func (f Finding) Unknown() bool { return f == Living || f == Doubtful || f == Strange }

// sameExpiry is how far two notes of one expiry may lie apart: formats round
// to seconds.
const sameExpiry = 2 * time.Second

// Compare decides by the refresh token first; times only help where it is not
// known. wrote is what the ledger says of our last delivery there, and clientID
// is the account's own; "": not known.
func Compare(rec store.Record, wrote store.Delivery, clientID string, h Held) Finding {
	d := h.Document
	theirs := d.RefreshToken.Fingerprint()
	younger := youngerThan(rec, wrote, h)
	switch {
	case rec.Version == 0:
		return Silent
	case h.Hidden && younger:
		return Doubtful
	case theirs == "":
		return Silent
	case theirs == rec.Token.RefreshToken.Fingerprint():
		return Ours
	case rec.Replaced(theirs):
		return Past
	case foreign(rec, clientID, d):
		return Strange
	case rec.NeedsLogin():
		return Living
	case fromBroker(rec) && !h.At.IsZero() && rec.StoredAt.After(h.At):
		return Outlived
	}
	switch later := laterThan(rec, d); {
	case younger && later:
		return Living
	case younger || later:
		return Doubtful
	}
	return Strange
}

// youngerThan says whether the destination was written after we did that last,
// or may have been.
func youngerThan(rec store.Record, wrote store.Delivery, h Held) bool {
	last := wrote.At
	if wrote.Version == 0 {
		last = rec.StoredAt
	}
	return h.At.IsZero() || h.At.After(last)
}

// laterThan says whether the document's access token ends after ours. Where
// nobody knows when ours ends, it is the moment at which we got it that counts.
func laterThan(rec store.Record, d format.Document) bool {
	ours := rec.Token.Expiry()
	if ours.IsZero() {
		ours = rec.StoredAt
	}
	return d.Expiry.After(ours.Add(sameExpiry))
}

// foreign says whether the document names another client or account than the
// record's.
func foreign(rec store.Record, clientID string, d format.Document) bool {
	differs := func(a, b string) bool { return a != "" && b != "" && a != b }
	return differs(d.ClientID, clientID) || differs(d.Account, rec.Account) || differs(d.Provider, rec.Provider)
}

// fromBroker says whether the broker itself has given us the record's token,
// which so was alive at that moment.
func fromBroker(rec store.Record) bool {
	return rec.Origin == store.OriginRefresh || rec.Origin == store.OriginLogin
}
