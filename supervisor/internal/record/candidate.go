package record

import (
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// This file holds whose login a token comes from, and the login of somebody else
// that waits for a person's word.

// Person is who has logged in, by the broker's word. The zero value: nobody knows.
type Person struct {
	// Fingerprint is that of the issuer and the subject of an id_token.
	Fingerprint string `json:"fingerprint,omitempty"`
	// Name is what the broker calls him, for people; "": it does not say.
	Name string `json:"name,omitempty"`
	// Assumed: he is the last one who was named. Whoever has logged in since has
	// not been.
	Assumed bool `json:"assumed,omitempty"`
}

// shownFingerprint is how much of it people are shown.
const shownFingerprint = 8

// String is how people are told of him; two persons are never told alike.
func (p Person) String() string {
	short := p.Fingerprint[:min(len(p.Fingerprint), shownFingerprint)]
	switch {
	case short == "":
		return "somebody of whom nothing is known"
	case p.Name == "":
		short = "person " + short
	default:
		short = p.Name + " (" + short + ")"
	}
	if p.Assumed {
		short += ", by an earlier login"
	}
	return short
}

// Candidate is the token of a login that was not the account's person's. It is
// neither used nor delivered before a person has confirmed it.
type Candidate struct {
	Token         sdk.Token `json:"-"` // codec.go stores it
	LoginAt       time.Time `json:"login_at,omitzero"`
	RefreshExpiry time.Time `json:"refresh_expiry,omitzero"`
	GrantedTo     GrantedTo `json:"granted_to,omitzero"`
	// Attempt that brought it.
	Attempt string `json:"attempt,omitempty"`
}

// Ends is when a candidate is of no use any more; zero: nobody knows.
func (c *Candidate) Ends() time.Time {
	if c.Token.RefreshToken.IsZero() {
		return c.Token.Expiry()
	}
	return c.RefreshExpiry
}
