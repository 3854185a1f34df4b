package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

// Evidence is what a broker answered and what did not become the account's
// newest version, because it is not known to descend from the one that stands. It
// may hold a refresh token that lives.
type Evidence struct {
	// Attempt that was answered, and its Kind, as in an [Intent].
	Attempt, Kind string
	// Version of the record that the attempt started from, its Grant (0: not
	// known), and Parent, the fingerprint of the refresh token that it spent; "":
	// none, or not known.
	Version, Grant uint64
	Parent         string
	// Token that the broker gave, and GrantedTo, to whom; zero: not known.
	Token     sdk.Token
	GrantedTo GrantedTo
	// At is when it was set aside, and Until when it is forgotten.
	At, Until time.Time
	// Why it was not installed, for people.
	Why string
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

// evidenceOf is what a version with the token next keeps of r's evidence: what
// has become that token is none any more.
func (r Record) evidenceOf(next sdk.Token, now time.Time) []Evidence {
	fp := next.RefreshToken.Fingerprint()
	return slices.DeleteFunc(r.Late(now), func(e Evidence) bool { return e.Token.RefreshToken.Fingerprint() == fp })
}

// SetAside implements [Store].
func (e *engine) SetAside(ctx context.Context, account string, ev Evidence) error {
	if err := checkName("an account", account); err != nil {
		return err
	}
	if ev.Attempt == "" {
		return fmt.Errorf("evidence of account %s names no attempt", account)
	}
	e.date(&ev.At)
	ev.Until = ev.At.Add(EvidenceLife)
	return e.write(ctx, account, func(d draft) error { return d.setAside(account, ev) })
}

// setAside is the rule of [Store.SetAside].
func (d draft) setAside(account string, ev Evidence) error {
	r, err := d.record(account)
	if err != nil {
		return err
	}
	if r.Version == 0 {
		return fmt.Errorf("the evidence of attempt %s can't be kept beside the record of account %s: %w", ev.Attempt, account, ErrNotFound)
	}
	standing, ok, err := d.intent(account)
	if err != nil {
		return err
	}
	others := slices.DeleteFunc(r.Late(ev.At), func(e Evidence) bool { return e.Attempt == ev.Attempt })
	r.Evidence = append([]Evidence{ev}, others[:min(len(others), keptEvidence-1)]...)
	b, err := seal(r)
	if err != nil {
		return err
	}
	d.put(recordKey(account), b)
	switch {
	case !ok || standing.Attempt != ev.Attempt:
	case standing.Before != nil:
		return d.putIntent(*standing.Before)
	default:
		d.delete(intentKey(account))
	}
	return nil
}

type evidenceLayout struct {
	Attempt   string      `json:"attempt"`
	Kind      string      `json:"kind,omitempty"`
	Version   uint64      `json:"version,omitempty"`
	Grant     uint64      `json:"grant,omitempty"`
	Parent    string      `json:"parent,omitempty"`
	Token     tokenLayout `json:"token"`
	Uncertain bool        `json:"expiry_uncertain,omitempty"`
	GrantedTo GrantedTo   `json:"granted_to,omitzero"`
	At        time.Time   `json:"at,omitzero"`
	Until     time.Time   `json:"until,omitzero"`
	Why       string      `json:"why,omitempty"`
}

func layOutEvidence(r Record) (all []evidenceLayout) {
	for _, e := range r.Evidence {
		all = append(all, evidenceLayout{
			Attempt: e.Attempt, Kind: e.Kind, Version: e.Version, Grant: e.Grant, Parent: e.Parent,
			Token: layOut(e.Token), Uncertain: e.Token.Uncertain, GrantedTo: e.GrantedTo, At: utc(e.At), Until: utc(e.Until), Why: e.Why,
		})
	}
	return all
}

func (l recordLayout) evidence() (all []Evidence) {
	for _, e := range l.Evidence {
		all = append(all, Evidence{
			Attempt: e.Attempt, Kind: e.Kind, Version: e.Version, Grant: e.Grant, Parent: e.Parent,
			Token: e.Token.token(e.Uncertain), GrantedTo: e.GrantedTo, At: moment.Known(e.At), Until: moment.Known(e.Until), Why: e.Why,
		})
	}
	return all
}
