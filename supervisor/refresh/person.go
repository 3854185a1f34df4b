package refresh

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/hearsay"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// personOf is whom an id_token names: the issuer and the subject, which together
// nobody else has (OpenID Connect Core 1.0, section 2); the zero Person if there
// is none, or it can't be read. Its signature is not checked: it has come straight
// from the token endpoint over TLS, where the check of the server may stand for
// that of the signature (section 3.1.3.7, point 6). So it says who has logged in
// here, and proves nothing to anybody else.
func personOf(idToken sdk.Secret) store.Person {
	parts := strings.Split(idToken.Reveal(), ".")
	if len(parts) != 3 { // of a signed one (RFC 7515); one that is encrypted is not for us
		return store.Person{}
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return store.Person{}
	}
	var claims map[string]any
	if json.Unmarshal(payload, &claims) != nil {
		return store.Person{}
	}
	text := func(claim string) string {
		s, _ := claims[claim].(string)
		return s
	}
	issuer, subject := text("iss"), text("sub")
	if issuer == "" || subject == "" {
		return store.Person{}
	}
	p := store.Person{Fingerprint: sdk.NewSecret(issuer + "\n" + subject).Fingerprint()}
	for _, claim := range []string{"preferred_username", "email", "name"} {
		if p.Name = hearsay.New().Clean(text(claim), hearsay.Name); p.Name != "" {
			break
		}
	}
	return p
}

// OwnerOf is whose login a record comes from. One that an older program has
// stored may still tell it by its id_token.
func OwnerOf(rec store.Record) store.Person {
	if p := rec.GrantedTo.Person; p.Fingerprint != "" {
		return p
	}
	return personOf(rec.Token.IDToken)
}

// assumed is the last person who was named, for a login that names nobody: so that
// one of somebody else is still noticed later.
func assumed(before store.Record) store.Person {
	p := OwnerOf(before)
	p.Assumed = p.Fingerprint != ""
	return p
}

// personAfter is whose login a version with the token t comes from, which follows
// before. A refresh stays in its login, whatever its id_token says (OpenID Connect
// Core 1.0, section 12.2, does not let it name another person).
func personAfter(before store.Record, t sdk.Token, origin store.Origin) store.Person {
	named, was := personOf(t.IDToken), OwnerOf(before)
	switch origin {
	case store.OriginLogin, store.OriginImport:
		if named.Fingerprint == "" {
			return assumed(before)
		}
		return named
	case store.OriginRefresh:
		if was.Fingerprint != "" && (!was.Assumed || named.Fingerprint == "") {
			return was
		}
	}
	if named.Fingerprint == "" {
		return was
	}
	return named
}

// isAnother says whether both are known, and not the same.
func isAnother(p, q store.Person) bool {
	return p.Fingerprint != "" && q.Fingerprint != "" && p.Fingerprint != q.Fingerprint
}
