package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

// The format of what is stored. Within a major version a newer program adds
// fields at the top level of a record and of an intent, and keys under prefixes of their own:
// there an older program keeps what it does not know. Everything else is a new
// major version, which an older program refuses.
//
// Format 2 is format 1 with checksums (sum.go). Opening a store of format 1
// turns it into one of format 2 and keeps the old file among the backups.
// Format 2.1 adds the alerts, and to the ledger how the newest try went. A
// record of 2.1 may say that its token's lifetime is uncertain; a program that
// does not know that keeps it. A store of format 2.0 becomes one of 2.1 with the
// first change. Format 2.2 adds the name of the machine and the logins that are
// open, which a program of 2.1 keeps. A program of format 2.0 does not open it: that one still took
// every key that it does not know for damage.
const (
	formatMajor   = 2
	formatMinor   = 2
	formatVersion = "2.2"
)

// checkFormat says whether this program may read and write what has format v,
// and which version that is.
func checkFormat(v string) (major, minor uint64, err error) {
	before, after, _ := strings.Cut(v, ".")
	major, err = strconv.ParseUint(before, 10, 31)
	minor, minorErr := strconv.ParseUint(after, 10, 31)
	if err != nil || minorErr != nil || major == 0 {
		return 0, 0, fmt.Errorf("%w: its format version is unreadable", ErrDamaged)
	}
	if major > formatMajor {
		return major, minor, fmt.Errorf("%w: format %s, and this program knows %s; run the newer program again, or restore a backup of the older one",
			ErrNewerFormat, v, formatVersion)
	}
	return major, minor, nil
}

// upgraded is the format of a store of format v after a change by this
// program: a newer minor version keeps its number.
func upgraded(v string) string {
	if major, minor, err := checkFormat(v); err == nil && major == formatMajor && minor > formatMinor {
		return v
	}
	return formatVersion
}

// recordLayout is a record as stored. Times are RFC 3339 in UTC.
type recordLayout struct {
	Format         string    `json:"format"`
	Account        string    `json:"account"`
	Provider       string    `json:"provider"`
	Version        uint64    `json:"version"`
	Origin         Origin    `json:"origin"`
	Attempt        string    `json:"attempt,omitempty"`
	StoredAt       time.Time `json:"stored_at,omitzero"`
	LoginAt        time.Time `json:"login_at,omitzero"`
	LoginUncertain bool      `json:"login_uncertain,omitempty"`
	RefreshExpiry  time.Time `json:"refresh_expiry,omitzero"`
	Fingerprints   []string  `json:"fingerprints,omitempty"`
	// Uncertain is the token's. It stands here because an older program keeps
	// what it does not know here, and only here.
	Uncertain bool         `json:"expiry_uncertain,omitempty"`
	Token     tokenLayout  `json:"token"`
	Health    healthLayout `json:"health,omitzero"`
	// Before, Earlier, Past, Found, GrantedTo and Lineage are fields that older programs
	// keep without knowing them.
	Before    *beforeLayout  `json:"before,omitempty"`
	Earlier   *earlierLayout `json:"earlier,omitempty"`
	Past      []byte         `json:"past,omitempty"`
	Found     foundLayout    `json:"found,omitzero"`
	GrantedTo grantedLayout  `json:"granted_to,omitzero"`
	Lineage   lineageLayout  `json:"lineage,omitzero"`
	// Evidence is kept by them likewise, and forgotten when its time is over.
	Evidence []evidenceLayout `json:"evidence,omitempty"`
	// Candidate likewise: it waits whatever version stands.
	Candidate *candidateLayout `json:"candidate,omitempty"`
	// Way likewise, and leaves such an account alone, as it has no refresh token.
	Way Way `json:"way,omitempty"`
	// Sum is written by sign and checked by checkSum, and nobody else looks.
	Sum string `json:"sum,omitempty"`
}

type tokenLayout struct {
	AccessToken     string            `json:"access_token,omitempty"`
	RefreshToken    string            `json:"refresh_token,omitempty"`
	TokenType       string            `json:"token_type,omitempty"`
	Scope           string            `json:"scope,omitempty"`
	IDToken         string            `json:"id_token,omitempty"`
	IssuedAt        time.Time         `json:"issued_at,omitzero"`
	Lifetime        span              `json:"lifetime,omitzero"`
	RefreshLifetime span              `json:"refresh_lifetime,omitzero"`
	Skew            span              `json:"skew,omitzero"`
	Extra           map[string]string `json:"extra,omitempty"`
	Private         map[string]string `json:"private,omitempty"`
}

type healthLayout struct {
	Failures    int       `json:"failures,omitempty"`
	Halves      int       `json:"halves,omitempty"`
	LastError   string    `json:"last_error,omitempty"`
	LastKind    sdk.Kind  `json:"last_kind,omitempty"`
	LastFailure time.Time `json:"last_failure,omitzero"`
	NeedsLogin  string    `json:"needs_login,omitempty"`
	Ambiguous   time.Time `json:"ambiguous,omitzero"`
	KeyRefused  string    `json:"key_refused,omitempty"`
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

// seal turns a record into the bytes that are stored, and open turns them
// back. Secrets pass here and nowhere else on their way to and from the disk.
func seal(r Record) ([]byte, error) {
	l := recordLayout{
		Format: formatVersion, Account: r.Account, Provider: r.Provider, Version: r.Version,
		Origin: r.Origin, Attempt: r.Attempt, StoredAt: utc(r.StoredAt),
		LoginAt: utc(r.LoginAt), LoginUncertain: r.LoginUncertain, RefreshExpiry: utc(r.RefreshExpiry),
		Fingerprints: r.Fingerprints[:min(len(r.Fingerprints), keptFingerprints)],
		Past:         r.Past, Found: layOutFound(r), GrantedTo: layOutGrantedTo(r), Lineage: layOutLineage(r), Evidence: layOutEvidence(r),
		Candidate: layOutCandidate(r.Candidate), Way: r.Way,
		Uncertain: r.Token.Uncertain,
		Token:     layOut(r.Token),
		Health:    layOutHealth(r.Health),
	}
	l.layOutBefore(r)
	b, err := json.Marshal(l)
	if err != nil {
		return nil, fmt.Errorf("the record of account %s can't be stored: %w", r.Account, err)
	}
	if b, err = addFields(b, r); err != nil {
		return nil, err
	}
	return sign(b), nil
}

func layOutHealth(h Health) healthLayout {
	h.LastFailure, h.Ambiguous = utc(h.LastFailure), utc(h.Ambiguous)
	return healthLayout(h)
}

// utc drops a time that no token can have: JSON could not hold it.
func utc(t time.Time) time.Time { return moment.Known(t).UTC() }

func layOut(t sdk.Token) tokenLayout {
	l := tokenLayout{
		AccessToken: t.AccessToken.Reveal(), RefreshToken: t.RefreshToken.Reveal(),
		TokenType: t.TokenType, Scope: t.Scope, IDToken: t.IDToken.Reveal(),
		IssuedAt: utc(t.IssuedAt), Lifetime: span(t.Lifetime),
		RefreshLifetime: span(t.RefreshLifetime), Skew: span(t.Skew), Extra: t.Extra,
	}
	if t.Private != nil {
		l.Private = make(map[string]string, len(t.Private))
		for name, s := range t.Private {
			l.Private[name] = s.Reveal()
		}
	}
	return l
}

// addFields puts the fields back that this program does not know.
func addFields(b []byte, r Record) ([]byte, error) {
	unknown := make(map[string]json.RawMessage, len(r.Unknown))
	for name, raw := range r.Unknown {
		if !known[name] {
			unknown[name] = raw
		}
	}
	if len(unknown) == 0 {
		return b, nil
	}
	more, err := json.Marshal(unknown)
	if err != nil {
		return nil, fmt.Errorf("the record of account %s can't be stored: a field that a newer program wrote is no longer JSON", r.Account)
	}
	b[len(b)-1] = ','
	return append(b, more[1:]...), nil
}

// open reads what seal wrote, of any format up to ours. Its errors tell
// nothing of the content.
func open(account string, b []byte) (Record, error) {
	damaged := func(what string) (Record, error) {
		return Record{}, fmt.Errorf("%w: the record of account %s %s; keep the file, and restore a backup or import the account's token",
			ErrDamaged, account, what)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(b, &fields); err != nil || fields == nil {
		return damaged("is not whole")
	}
	var version string
	if json.Unmarshal(fields["format"], &version) != nil {
		return damaged("has no format version")
	}
	major, _, err := checkFormat(version)
	if err != nil {
		return Record{}, fmt.Errorf("the record of account %s: %w", account, err)
	}
	if major > 1 && !checkSum(b) {
		return damaged("does not have its checksum")
	}
	// encoding/json would take "VERSION" for "version": unknown fields must
	// not reach it.
	unknown := make(map[string][]byte)
	maps.DeleteFunc(fields, func(name string, raw json.RawMessage) bool {
		if !known[name] {
			unknown[name] = bytes.Clone(raw)
		}
		return !known[name]
	})
	if len(unknown) > 0 {
		if b, err = json.Marshal(fields); err != nil {
			return damaged("is not whole")
		}
	}
	var l recordLayout
	if err := json.Unmarshal(b, &l); err != nil {
		return damaged("has a field of the wrong kind")
	}
	if l.Account != account || l.Version == 0 {
		return damaged("is not that account's")
	}
	return l.record(unknown), nil
}

// record drops the times that no token can have: an older program stored them
// for "not known".
func (l recordLayout) record(unknown map[string][]byte) Record {
	r := Record{
		Account: l.Account, Provider: l.Provider, Version: l.Version,
		Origin: l.Origin, Attempt: l.Attempt, StoredAt: l.StoredAt,
		LoginAt: moment.Known(l.LoginAt), LoginUncertain: l.LoginUncertain, RefreshExpiry: moment.Known(l.RefreshExpiry),
		Fingerprints: l.Fingerprints, Past: l.Past, FoundIn: l.foundIn(), GrantedTo: l.grantedTo(), Way: l.Way,
		Token:  l.Token.token(l.Uncertain),
		Health: Health(l.Health),
	}
	r.Before, r.Evidence, r.Candidate = l.before(), l.evidence(), l.Candidate.candidate()
	r.Grant, r.Parent = l.lineage()
	if len(unknown) > 0 {
		r.Unknown = unknown
	}
	return r
}

// known holds the names of a record's fields.
var known = fieldNames(reflect.TypeFor[recordLayout]())

func fieldNames(t reflect.Type) map[string]bool {
	names := make(map[string]bool, t.NumField())
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		names[name] = true
	}
	return names
}

func (l tokenLayout) token(uncertain bool) sdk.Token {
	t := sdk.Token{
		AccessToken: sdk.NewSecret(l.AccessToken), RefreshToken: sdk.NewSecret(l.RefreshToken),
		TokenType: l.TokenType, Scope: l.Scope, IDToken: sdk.NewSecret(l.IDToken),
		IssuedAt: moment.Known(l.IssuedAt), Lifetime: time.Duration(l.Lifetime), Uncertain: uncertain,
		RefreshLifetime: time.Duration(l.RefreshLifetime), Skew: time.Duration(l.Skew), Extra: l.Extra,
	}
	if l.Private != nil {
		t.Private = make(map[string]sdk.Secret, len(l.Private))
		for name, s := range l.Private {
			t.Private[name] = sdk.NewSecret(s)
		}
	}
	return t
}
