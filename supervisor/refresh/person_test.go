package refresh

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

func idToken(claims string) string {
	enc := base64.RawURLEncoding.EncodeToString
	return enc([]byte(`{"alg":"RS256"}`)) + "." + enc([]byte(claims)) + ".c2lnbmF0dXJl"
}

func TestWhomAnIDTokenNames(t *testing.T) {
	alice := personOf(sdk.NewSecret(idToken(`{"iss":"https://broker.example","sub":"1"}`)))
	if alice.Fingerprint == "" || alice.Name != "" || alice.String() != "person "+alice.Fingerprint[:8] {
		t.Errorf("she is %+v, told as %q", alice, alice)
	}
	for claims, want := range map[string]string{
		`{"iss":"https://broker.example","sub":"1","email":"alice@broker.example","name":"Alice"}`: "alice@broker.example",
		`{"iss":"https://broker.example","sub":"1","preferred_username":"alice","email":"a@b.c"}`:  "alice",
		`{"iss":"https://broker.example","sub":"1","name":"Al\u001b[2Jice\n\u202eB"}`:              "Alice B",
		`{"iss":"https://broker.example","sub":"1","email":7,"name":["x"]}`:                        "",
	} {
		p := personOf(sdk.NewSecret(idToken(claims)))
		if p.Fingerprint != alice.Fingerprint || p.Name != want {
			t.Errorf("%s: %+v, want the same person as %q", claims, p, want)
		}
	}
	for _, other := range []string{`{"iss":"https://broker.example","sub":"2"}`, `{"iss":"https://other.example","sub":"1"}`} {
		if p := personOf(sdk.NewSecret(idToken(other))); !isAnother(alice, p) {
			t.Errorf("%s is taken for her", other)
		}
	}
	for _, nobody := range []string{
		"", "x", "a.b", "a.b.c", "a.b.c.d.e", idToken(""), idToken("null"), idToken("[]"), idToken(`{"sub":"1"}`), idToken(`{"iss":"x"}`),
		idToken(`{"iss":1,"sub":"1"}`), idToken(`{"iss":"x","sub":""}`), idToken(`{"iss":"x","sub":"1"`),
	} {
		if p := personOf(sdk.NewSecret(nobody)); p != (store.Person{}) || isAnother(alice, p) || isAnother(p, alice) {
			t.Errorf("%q names %+v", nobody, p)
		}
	}
}

func FuzzPersonOf(f *testing.F) {
	f.Add(`{"iss":"https://broker.example","sub":"1","name":"Alice"}`)
	f.Fuzz(func(t *testing.T, claims string) {
		p := personOf(sdk.NewSecret(idToken(claims)))
		if p.Fingerprint == "" && p.Name != "" || len(p.Name) > 64 {
			t.Errorf("%q names %+v", claims, p)
		}
		if i := strings.IndexFunc(p.String(), func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
			t.Errorf("%q is told as %q", claims, p)
		}
		if p.Fingerprint != "" && !json.Valid([]byte(claims)) {
			t.Errorf("%q names somebody", claims)
		}
		_ = personOf(sdk.NewSecret(claims))
	})
}

// What follows in a login is that login's; only another login can be another
// person's.
func TestWhoseAVersionIs(t *testing.T) {
	named := func(sub string) sdk.Secret {
		if sub == "" {
			return sdk.Secret{}
		}
		return sdk.NewSecret(idToken(`{"iss":"i","sub":"` + sub + `"}`))
	}
	for _, tt := range []struct {
		before, token string
		origin        store.Origin
		want          string // "?": of an earlier login
	}{
		{"", "", store.OriginLogin, ""}, {"a", "", store.OriginLogin, "a?"}, {"a", "b", store.OriginLogin, "b"},
		{"a?", "", store.OriginLogin, "a?"}, {"a?", "a", store.OriginLogin, "a"}, {"a?", "", store.OriginRefresh, "a?"}, {"a?", "b", store.OriginRefresh, "b"},
		{"a", "", store.OriginImport, "a?"}, {"a", "b", store.OriginImport, "b"},
		{"a", "", store.OriginRefresh, "a"}, {"", "a", store.OriginRefresh, "a"}, {"a", "b", store.OriginRefresh, "a"},
		{"a", "", store.OriginExternal, "a"}, {"a", "b", store.OriginExternal, "b"}, {"a", "", store.OriginRestore, "a"},
	} {
		person := func(text string) store.Person {
			sub, isAssumed := strings.CutSuffix(text, "?")
			p := personOf(named(sub))
			p.Assumed = isAssumed
			return p
		}
		before := map[string]store.Record{"noted": {GrantedTo: store.GrantedTo{Person: person(tt.before)}}}
		if !person(tt.before).Assumed {
			before["as an older program has left it"] = store.Record{Token: sdk.Token{IDToken: named(tt.before)}}
		}
		for name, before := range before {
			if got := personAfter(before, sdk.Token{IDToken: named(tt.token)}, tt.origin); got != person(tt.want) {
				t.Errorf("%s: after %q comes %q by %s: %v", name, tt.before, tt.token, tt.origin, got)
			}
		}
	}
}
