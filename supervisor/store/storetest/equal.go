package storetest

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Diff says in which field two records differ; "" if in none. It tells no
// secret.
func Diff(got, want store.Record) string {
	g, w := plain(got), plain(want)
	for name := range w {
		if g[name] != w[name] {
			return fmt.Sprintf("%s: %q, want %q", name, g[name], w[name])
		}
	}
	return ""
}

// plain is a record as comparable strings; secrets as fingerprints.
func plain(r store.Record) map[string]string {
	t := r.Token
	m := map[string]string{
		"account": r.Account, "provider": r.Provider, "version": fmt.Sprint(r.Version), "held": fmt.Sprint(r.Held),
		"origin": string(r.Origin), "attempt": r.Attempt, "stored": stamp(r.StoredAt),
		"login": stamp(r.LoginAt), "uncertain": fmt.Sprint(r.LoginUncertain), "refresh expiry": stamp(r.RefreshExpiry),
		"evidence": evidence(r.Evidence),
		"grant":    fmt.Sprint(r.Grant), "parent": r.Parent,
		"fingerprints": fmt.Sprint(r.Fingerprints),
		"access":       t.AccessToken.Fingerprint(), "refresh": t.RefreshToken.Fingerprint(), "id": t.IDToken.Fingerprint(),
		"type": t.TokenType, "scope": t.Scope, "issued": stamp(t.IssuedAt),
		"lifetimes": fmt.Sprint(t.Lifetime, t.Uncertain, t.RefreshLifetime, t.Skew),
		"extra":     fmt.Sprint(t.Extra), "private": privates(t.Private),
		"health": fmt.Sprint(r.Health.Failures, r.Health.Halves, r.Health.LastError, r.Health.LastKind, r.Health.NeedsLogin,
			stamp(r.Health.LastFailure), stamp(r.Health.Ambiguous), stamp(r.Health.RevokeAsked), stamp(r.Health.Revoked)),
		"granted to": fmt.Sprint(r.GrantedTo), "candidate": candidate(r.Candidate),
		"unknown names": fmt.Sprint(slices.Sorted(maps.Keys(r.Unknown))),
	}
	for name, raw := range r.Unknown {
		var v any
		if err := json.Unmarshal(raw, &v); err != nil {
			v = "not JSON"
		}
		m["unknown "+name] = fmt.Sprint(v)
	}
	return m
}

func evidence(all []store.Evidence) string {
	var lines []string
	for _, e := range all {
		lines = append(lines, fmt.Sprint(e.Attempt, e.Kind, e.Version, e.Grant, e.Parent, stamp(e.At), stamp(e.Until), e.Why,
			e.Token.RefreshToken.Fingerprint(), e.Token.AccessToken.Fingerprint(), e.Token.Uncertain))
	}
	return fmt.Sprint(lines)
}

func candidate(c *store.Candidate) string {
	if c == nil {
		return ""
	}
	t := c.Token
	return fmt.Sprint(t.AccessToken.Fingerprint(), t.RefreshToken.Fingerprint(), t.Lifetime, t.Uncertain, privates(t.Private),
		stamp(t.IssuedAt), stamp(c.LoginAt), stamp(c.RefreshExpiry), c.GrantedTo, c.Attempt)
}

func privates(p map[string]sdk.Secret) string {
	m := make(map[string]string, len(p))
	for name, s := range p {
		m[name] = s.Fingerprint()
	}
	return fmt.Sprint(m)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

func sameIntent(a, b store.Intent) bool {
	if !a.At.Equal(b.At) || !a.AmbiguousSince.Equal(b.AmbiguousSince) || !a.Until.Equal(b.Until) {
		return false
	}
	if (a.Before == nil) != (b.Before == nil) || a.Before != nil && !sameIntent(*a.Before, *b.Before) {
		return false
	}
	a.At, a.AmbiguousSince, a.Until, a.Before = time.Time{}, time.Time{}, time.Time{}, nil
	b.At, b.AmbiguousSince, b.Until, b.Before = time.Time{}, time.Time{}, time.Time{}, nil
	return reflect.DeepEqual(a, b)
}

func sameDelivery(a, b store.Delivery) bool {
	if !a.At.Equal(b.At) || !a.TriedAt.Equal(b.TriedAt) {
		return false
	}
	a.At, b.At, a.TriedAt, b.TriedAt = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	return a == b
}

// delivered is the line of the ledger that a delivery alone makes.
func delivered(d store.Delivery) store.Delivery {
	d.Result, d.TriedVersion, d.TriedAt = store.ResultDelivered, d.Version, d.At
	d.Error, d.Failures = "", 0
	return d
}

func sameAlert(a, b event.Alert) bool {
	if !a.Since.Equal(b.Since) || !a.ChangedAt.Equal(b.ChangedAt) {
		return false
	}
	a.Since, b.Since, a.ChangedAt, b.ChangedAt = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	return reflect.DeepEqual(a, b)
}
