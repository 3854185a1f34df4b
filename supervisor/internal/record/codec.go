package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

// recordLayout is a record as stored. Times are RFC 3339 in UTC.
type recordLayout struct {
	Record
	Token     tokenLayout      `json:"token"`
	Before    []beforeLayout   `json:"before,omitempty"`
	Evidence  []evidenceLayout `json:"evidence,omitempty"`
	Candidate *candidateLayout `json:"candidate,omitempty"`
}

type beforeLayout struct {
	Before
	Token tokenLayout `json:"token"`
}

type evidenceLayout struct {
	Evidence
	Token tokenLayout `json:"token"`
}

type candidateLayout struct {
	Candidate
	Token tokenLayout `json:"token"`
}

// tokenLayout is a token with its secrets in clear text.
type tokenLayout struct {
	AccessToken     string            `json:"access_token,omitempty"`
	RefreshToken    string            `json:"refresh_token,omitempty"`
	TokenType       string            `json:"token_type,omitempty"`
	Scope           string            `json:"scope,omitempty"`
	IDToken         string            `json:"id_token,omitempty"`
	IssuedAt        time.Time         `json:"issued_at,omitzero"`
	Lifetime        span              `json:"lifetime,omitzero"`
	Uncertain       bool              `json:"uncertain,omitempty"`
	RefreshLifetime span              `json:"refresh_lifetime,omitzero"`
	Skew            span              `json:"skew,omitzero"`
	Extra           map[string]string `json:"extra,omitempty"`
	Private         map[string]string `json:"private,omitempty"`
}

// span is a duration that is stored as people write it: "30m0s".
type span time.Duration

func (s span) MarshalText() ([]byte, error) { return []byte(time.Duration(s).String()), nil }

func (s *span) UnmarshalText(b []byte) error {
	d, err := time.ParseDuration(string(b))
	if err != nil {
		return errors.New("not a duration")
	}
	*s = span(d)
	return nil
}

// Encode turns a record into the bytes that are stored, and a [Decoder]
// turns them back. Secrets pass here and nowhere else on their way to and from the disk.
func Encode(r Record) ([]byte, error) {
	l := recordLayout{Record: r, Token: layOut(r.Token)}
	l.StoredAt, l.LoginAt, l.RefreshExpiry = utc(r.StoredAt), utc(r.LoginAt), utc(r.RefreshExpiry)
	l.Fingerprints = r.Fingerprints[:min(len(r.Fingerprints), keptFingerprints)]
	l.Health = r.Health.Dated()
	for _, b := range r.Before {
		b.LoginAt, b.RefreshExpiry = utc(b.LoginAt), utc(b.RefreshExpiry)
		l.Before = append(l.Before, beforeLayout{b, layOut(b.Token)})
	}
	for _, e := range r.Evidence {
		e.At, e.Until = utc(e.At), utc(e.Until)
		l.Evidence = append(l.Evidence, evidenceLayout{e, layOut(e.Token)})
	}
	if r.Candidate != nil {
		c := *r.Candidate
		c.LoginAt, c.RefreshExpiry = utc(c.LoginAt), utc(c.RefreshExpiry)
		l.Candidate = &candidateLayout{c, layOut(c.Token)}
	}
	b, err := marshalWith(l, r.Unknown, known)
	if err != nil {
		return nil, fmt.Errorf("the record of account %s can't be stored: %w", r.Account, err)
	}
	return b, nil
}

// readAny reads any record.
func readAny(b []byte) (Record, error) {
	var l recordLayout
	unknown, err := unmarshalWith(b, &l, known)
	switch {
	case errors.Is(err, errNotWhole):
		return Record{}, err
	case err != nil:
		return Record{}, errors.New("has a field of the wrong kind")
	}
	r := l.Record
	r.Token, r.Unknown = l.Token.token(), unknown
	for _, b := range l.Before {
		b.Before.Token = b.Token.token()
		r.Before = append(r.Before, b.Before)
	}
	for _, e := range l.Evidence {
		e.Evidence.Token = e.Token.token()
		r.Evidence = append(r.Evidence, e.Evidence)
	}
	if c := l.Candidate; c != nil {
		c.Candidate.Token = c.Token.token()
		r.Candidate = &c.Candidate
	}
	return r, nil
}

// Dated is the same with times that can be stored.
func (h Health) Dated() Health {
	h.LastFailure, h.Ambiguous = utc(h.LastFailure), utc(h.Ambiguous)
	h.RevokeAsked, h.Revoked = utc(h.RevokeAsked), utc(h.Revoked)
	return h
}

// utc drops a time that no token can have: JSON could not hold it.
func utc(t time.Time) time.Time { return moment.Known(t).UTC() }

func layOut(t sdk.Token) tokenLayout {
	return tokenLayout{
		AccessToken: t.AccessToken.Reveal(), RefreshToken: t.RefreshToken.Reveal(),
		TokenType: t.TokenType, Scope: t.Scope, IDToken: t.IDToken.Reveal(),
		IssuedAt: utc(t.IssuedAt), Lifetime: span(t.Lifetime), Uncertain: t.Uncertain,
		RefreshLifetime: span(t.RefreshLifetime), Skew: span(t.Skew), Extra: t.Extra, Private: reveal(t.Private),
	}
}

func (l tokenLayout) token() sdk.Token {
	return sdk.Token{
		AccessToken: sdk.NewSecret(l.AccessToken), RefreshToken: sdk.NewSecret(l.RefreshToken),
		TokenType: l.TokenType, Scope: l.Scope, IDToken: sdk.NewSecret(l.IDToken),
		IssuedAt: moment.Known(l.IssuedAt), Lifetime: time.Duration(l.Lifetime), Uncertain: l.Uncertain,
		RefreshLifetime: time.Duration(l.RefreshLifetime), Skew: time.Duration(l.Skew), Extra: l.Extra, Private: conceal(l.Private),
	}
}

func reveal(secrets map[string]sdk.Secret) map[string]string {
	if secrets == nil {
		return nil
	}
	m := make(map[string]string, len(secrets))
	for name, s := range secrets {
		m[name] = s.Reveal()
	}
	return m
}

func conceal(clear map[string]string) map[string]sdk.Secret {
	if clear == nil {
		return nil
	}
	m := make(map[string]sdk.Secret, len(clear))
	for name, s := range clear {
		m[name] = sdk.NewSecret(s)
	}
	return m
}

// known and knownIntent hold the names of the fields of a record and of an intent.
var (
	known       = fieldNames(reflect.TypeFor[recordLayout](), map[string]bool{})
	knownIntent = fieldNames(reflect.TypeFor[Intent](), map[string]bool{})
)

func fieldNames(t reflect.Type, names map[string]bool) map[string]bool {
	for f := range t.Fields() {
		if f.Anonymous {
			fieldNames(f.Type, names)
		} else if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "-" {
			names[name] = true
		}
	}
	return names
}

// marshalWith writes an object together with the fields that this program does not know.
func marshalWith(v any, unknown map[string][]byte, known map[string]bool) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	more := make(map[string]json.RawMessage, len(unknown))
	for name, raw := range unknown {
		if !known[name] {
			more[name] = raw
		}
	}
	if len(more) == 0 {
		return b, nil
	}
	rest, err := json.Marshal(more)
	if err != nil {
		return nil, errors.New("a field that a newer program wrote is no longer JSON")
	}
	b[len(b)-1] = ','
	return append(b, rest[1:]...), nil
}

var errNotWhole = errors.New("is not whole")

// unmarshalWith reads an object, and returns its fields that this program does not
// know. Those must not reach encoding/json, which would take "VERSION" for "version".
func unmarshalWith(b []byte, v any, known map[string]bool) (unknown map[string][]byte, err error) {
	if allKnown(b, known) && json.Unmarshal(b, v) == nil {
		return nil, nil
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(b, &fields) != nil || fields == nil {
		return nil, errNotWhole
	}
	for name, raw := range fields {
		if known[name] {
			continue
		}
		if unknown == nil {
			unknown = map[string][]byte{}
		}
		unknown[name] = bytes.Clone(raw)
		delete(fields, name)
	}
	if b, err = json.Marshal(fields); err != nil {
		return nil, errNotWhole
	}
	return unknown, json.Unmarshal(b, v)
}

// allKnown says whether an object has known fields alone. It walks over the object
// once, which is all that most of them take; where it is not sure it says no.
func allKnown(b []byte, known map[string]bool) bool {
	depth, name := 0, false
	for n := 0; n < len(b); n++ {
		switch b[n] {
		case '{', '[':
			depth++
			name = depth == 1
		case '}', ']':
			depth--
		case ',':
			name = depth == 1
		case ':':
			name = false
		case '"':
			from := n + 1
			for n++; n < len(b) && b[n] != '"'; n++ {
				if b[n] == '\\' {
					n++
				}
			}
			if name && !known[string(b[from:min(n, len(b))])] {
				return false
			}
		}
	}
	return true
}
