package store

import (
	"context"
	"fmt"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
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
	Token         sdk.Token
	LoginAt       time.Time
	RefreshExpiry time.Time
	GrantedTo     GrantedTo
	// Attempt that brought it.
	Attempt string
}

// Ends is when a candidate is of no use any more; zero: nobody knows.
func (c *Candidate) Ends() time.Time {
	if c.Token.RefreshToken.IsZero() {
		return c.Token.Expiry()
	}
	return c.RefreshExpiry
}

// PutBeside implements [Store].
func (e *engine) PutBeside(ctx context.Context, account, attempt string, c *Candidate) error {
	if err := checkName("an account", account); err != nil {
		return err
	}
	return e.write(ctx, account, func(d draft) error { return d.putBeside(account, attempt, c) })
}

// putBeside is the rule of [Store.PutBeside].
func (d draft) putBeside(account, attempt string, c *Candidate) error {
	standing, ok, err := d.intent(account)
	if err != nil {
		return err
	}
	r, err := d.record(account)
	if err != nil {
		return err
	}
	if r.Version == 0 {
		return fmt.Errorf("account %s: %w", account, ErrNotFound)
	}
	r.Candidate = c
	b, err := seal(r)
	if err != nil {
		return err
	}
	d.put(recordKey(account), b)
	if ok && standing.Attempt == attempt {
		d.endGuided(standing)
	}
	switch {
	case !ok || standing.Attempt != attempt:
	case standing.Before != nil:
		return d.putIntent(*standing.Before)
	default:
		d.delete(intentKey(account))
	}
	return nil
}

// candidateLayout is true whatever version it stands in: an older program that
// copies it has not decided about it.
type candidateLayout struct {
	beforeLayout
	Attempt string `json:"attempt,omitempty"`
}

func layOutCandidate(c *Candidate) *candidateLayout {
	if c == nil {
		return nil
	}
	return &candidateLayout{
		beforeLayout: beforeLayout{
			Token: layOut(c.Token), Uncertain: c.Token.Uncertain,
			LoginAt: utc(c.LoginAt), RefreshExpiry: utc(c.RefreshExpiry), GrantedTo: c.GrantedTo,
		},
		Attempt: c.Attempt,
	}
}

func (l *candidateLayout) candidate() *Candidate {
	if l == nil {
		return nil
	}
	return &Candidate{
		Token: l.Token.token(l.Uncertain), LoginAt: moment.Known(l.LoginAt), RefreshExpiry: moment.Known(l.RefreshExpiry),
		GrantedTo: l.GrantedTo, Attempt: l.Attempt,
	}
}
