package record

import (
	"slices"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
)

// Evidence is what a broker answered and what did not become the account's
// newest version, because it is not known to descend from the one that stands. It
// may hold a refresh token that lives.
type Evidence struct {
	// Attempt that was answered, and its Kind, as in an [Intent].
	Attempt string `json:"attempt"`
	Kind    string `json:"kind,omitempty"`
	// Version of the record that the attempt started from, its Grant (0: not
	// known), and Parent, the fingerprint of the refresh token that it spent; "":
	// none, or not known.
	Version uint64 `json:"version,omitempty"`
	Grant   uint64 `json:"grant,omitempty"`
	Parent  string `json:"parent,omitempty"`
	// Token that the broker gave, and GrantedTo, to whom; zero: not known.
	Token     sdk.Token `json:"-"` // codec.go stores it
	GrantedTo GrantedTo `json:"granted_to,omitzero"`
	// At is when it was set aside, and Until when it is forgotten.
	At    time.Time `json:"at,omitzero"`
	Until time.Time `json:"until,omitzero"`
	// Why it was not installed, for people.
	Why string `json:"why,omitempty"`
}

const (
	// EvidenceLife is how long evidence is kept: a day, in which a person can look
	// into it.
	EvidenceLife = 24 * time.Hour
	// keptEvidence of one account, the newest.
	keptEvidence = 16
)

// Begins is the grant that the token is of; 0: not known. A login's is the one
// after the one that it was begun from.
func (e Evidence) Begins() uint64 {
	if spool.IsLogin(e.Kind) && e.Grant > 0 {
		return e.Grant + 1
	}
	return e.Grant
}

// Late is the evidence that is not to be forgotten yet, newest first.
func (r Record) Late(now time.Time) (kept []Evidence) {
	for _, e := range r.Evidence {
		if now.Before(e.Until) {
			kept = append(kept, e)
		}
	}
	return kept
}

// WithEvidence is r with one more answer beside it, in the place of any of the same
// attempt.
func (r Record) WithEvidence(e Evidence) Record {
	others := slices.DeleteFunc(r.Late(e.At), func(o Evidence) bool { return o.Attempt == e.Attempt })
	r.Evidence = append([]Evidence{e}, others[:min(len(others), keptEvidence-1)]...)
	return r
}

// evidenceOf is what a version with the token next keeps of r's evidence: what
// has become that token is none any more.
func (r Record) evidenceOf(next sdk.Token, now time.Time) []Evidence {
	fp := next.RefreshToken.Fingerprint()
	return slices.DeleteFunc(r.Late(now), func(e Evidence) bool { return e.Token.RefreshToken.Fingerprint() == fp })
}
