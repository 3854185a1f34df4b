package format

import (
	"encoding/json"
	"maps"
	"time"
)

// jsonDocument is our own format. expires_at and expires are the same moment,
// for programs and for people.
type jsonDocument struct {
	Account     string            `json:"account,omitempty"`
	Provider    string            `json:"provider,omitempty"`
	Version     uint64            `json:"version,omitempty"`
	AccessToken string            `json:"access_token,omitempty"`
	TokenType   string            `json:"token_type,omitempty"`
	ExpiresAt   int64             `json:"expires_at,omitempty"`
	Expires     string            `json:"expires,omitempty"`
	IssuedAt    string            `json:"issued_at,omitempty"`
	Scope       string            `json:"scope,omitempty"`
	Extra       map[string]string `json:"extra,omitempty"`

	RefreshToken     string `json:"refresh_token,omitempty"`
	RefreshExpiresAt int64  `json:"refresh_expires_at,omitempty"`
	IDToken          string `json:"id_token,omitempty"`
	LoginAt          string `json:"login_at,omitempty"`
	LoginUncertain   bool   `json:"login_uncertain,omitempty"`
}

func jsonLayout(d Document, _ Options) any {
	return jsonDocument{
		Account: d.Account, Provider: d.Provider, Version: d.Version,
		AccessToken: d.AccessToken.Reveal(), TokenType: d.TokenType,
		ExpiresAt: epoch(d.Expiry), Expires: stamp(d.Expiry), IssuedAt: stamp(d.IssuedAt),
		Scope: d.Scope, Extra: d.Extra,
		RefreshToken: d.RefreshToken.Reveal(), RefreshExpiresAt: epoch(d.RefreshExpiry),
		IDToken: d.IDToken.Reveal(), LoginAt: stamp(d.LoginAt), LoginUncertain: d.LoginUncertain,
	}
}

func jsonTimes(d Document) map[string]time.Time {
	return present(map[string]time.Time{
		"expires_at": d.Expiry, "expires": d.Expiry, "issued_at": d.IssuedAt,
		"refresh_expires_at": d.RefreshExpiry, "login_at": d.LoginAt,
	})
}

func jsonOfToken() []string {
	return []string{"version", "access_token", "expires_at", "expires", "issued_at",
		"refresh_token", "refresh_expires_at", "login_uncertain"}
}

// present leaves out the zero times.
func present(times map[string]time.Time) map[string]time.Time {
	maps.DeleteFunc(times, func(_ string, t time.Time) bool { return t.IsZero() })
	return times
}

func readJSON(o object, opt Options) Document {
	loc := opt.location()
	d := Document{
		Account: o.text("account"), Provider: o.text("provider"), Version: o.count("version"),
		AccessToken: o.secret("access_token"), RefreshToken: o.secret("refresh_token"), IDToken: o.secret("id_token"),
		TokenType: o.text("token_type"), Scope: o.text("scope"),
		LoginAt: o.time("login_at", loc), LoginUncertain: o.bool("login_uncertain"),
		RefreshExpiry: o.time("refresh_expires_at", loc),
	}
	var naive bool
	d.IssuedAt, naive = o.moment("issued_at", loc)
	for _, name := range []string{"expires_at", "expires", "expiry"} {
		if d.Expiry.IsZero() {
			d.Expiry, d.Naive = o.moment(name, loc)
		}
	}
	d.Lifetime, _ = o.seconds("expires_in")
	d = counted(d, naive)
	var extra map[string]string
	if json.Unmarshal(o["extra"], &extra) == nil && len(extra) > 0 {
		d.Extra = extra
	}
	return d
}

// stamp is t in RFC 3339, UTC, in whole seconds rounded to the earlier; ""
// for the zero time.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
