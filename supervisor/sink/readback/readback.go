// Package readback says how that which a destination holds of an account
// stands to the account's record: a place that we write is not believed to
// hold what we wrote. It is pure; its README has the table of its rules.
package readback

import (
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/lineage"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Question asks what a destination holds of one account.
type Question struct {
	Account, Provider string
	// Since: what can be seen to be as it was then need not be read; zero:
	// everything is read.
	Since time.Time
	// Lightly: which version it holds will do, if it can tell that without giving
	// back the content. Wrote is what the ledger says of our last delivery there.
	Lightly bool
	Wrote   store.Delivery
}

// Held is what a destination holds of one account.
type Held struct {
	// Untouched: nothing has changed there since Question.Since.
	Untouched bool
	// Told: it has said which Version it holds, and nothing else.
	Told    bool
	Version uint64

	// Document as far as it could be read. Without a refresh token there is
	// nothing to go by.
	Document format.Document
	// At is when the destination was last written, by its own clock; zero: it
	// does not say.
	At time.Time
	// Hidden: something is there that we may not read. Rest: it is cut off or damaged,
	// may have been a token, and Document has what can still be told of that.
	Hidden, Rest bool
	// File is its path, if it is a file.
	File string
	// Owner is whose token it is, if another account's, for people. It is
	// what [Compare] says, for those who hold on to both.
	Owner string
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

// Compare says how what is held stands to the record. wrote is what the ledger
// says of our last delivery there, and ours what else is known of the account.
// owner is whose token it is, if another account's, for people.
func Compare(ours lineage.Ours, rec store.Record, wrote store.Delivery, h Held, now time.Time) (f Finding, owner string) {
	if rec.Version == 0 {
		return Silent, ""
	}
	ours.Account, ours.Provider, ours.Record = rec.Account, rec.Provider, rec
	ours.Open = !rec.Health.Ambiguous.IsZero()
	found := lineage.Found{Document: h.Document, Hidden: h.Hidden, Rest: h.Rest}
	found.Document.WrittenAt = h.At
	if wrote.Version > 0 {
		found.Wrote = wrote.At
	}
	j := ours.Judge(found, now)
	return finding(j.Verdict), j.Owner
}

func finding(v lineage.Verdict) Finding {
	switch v {
	case lineage.Silent:
		return Silent
	case lineage.Same, lineage.Renewed, lineage.Stale, lineage.Refused:
		return Ours
	case lineage.Past:
		return Past
	case lineage.Newer:
		return Living
	case lineage.Doubtful:
		return Doubtful
	case lineage.Outlived:
		return Outlived
	}
	return Strange
}
