package format

import (
	"encoding/json"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

// schwabFile is the token file that schwab-py writes (schwab/auth.py,
// TokenMetadata; the token as authlib's OAuth2Token holds it): the order of
// the fields is theirs. schwab-py writes it in one line with Python's
// json.dump, into the file itself and without a lock; the senders whose format
// is called schwab indent it by four.
//
// schwab-py refuses a file without creation_timestamp. The library that it
// descends from, tda-api, once wrote the bare token without an object around
// it; [SchwabPy] reads that too and [Merge] puts the object around it.
type schwabFile struct {
	// CreationTimestamp is the login. Schwab's refresh token dies seven days
	// after it, however often it is used.
	CreationTimestamp int64       `json:"creation_timestamp"`
	Token             schwabToken `json:"token"`
}

type schwabToken struct {
	ExpiresIn    *int64 `json:"expires_in,omitempty"`
	TokenType    string `json:"token_type,omitempty"`
	Scope        string `json:"scope,omitempty"`
	RefreshToken string `json:"refresh_token,omitempty"`
	AccessToken  string `json:"access_token,omitempty"`
	IDToken      string `json:"id_token,omitempty"`
	ExpiresAt    int64  `json:"expires_at,omitempty"`
}

func schwabLayout(d Document, _ Options) any {
	f := schwabFile{
		CreationTimestamp: epoch(schwabLogin(d)),
		Token: schwabToken{
			TokenType: d.TokenType, Scope: d.Scope,
			RefreshToken: d.RefreshToken.Reveal(), AccessToken: d.AccessToken.Reveal(), IDToken: d.IDToken.Reveal(),
			ExpiresAt: epoch(d.Expiry),
		},
	}
	if !d.IssuedAt.IsZero() && !d.Expiry.IsZero() {
		lifetime := max(epoch(d.Expiry)-epoch(d.IssuedAt), 0)
		f.Token.ExpiresIn = &lifetime
	}
	return f
}

// schwabLogin is what creation_timestamp says.
func schwabLogin(d Document) time.Time {
	if d.LoginAt.IsZero() {
		// The field must be there. The latest moment that it can have been
		// makes no reader ask for a login too early. See also keepsLogin.
		return d.IssuedAt
	}
	return d.LoginAt
}

// keepsLogin is d with the login time that stands in the file which d replaces, if
// d knows none and both have the same refresh token. Otherwise each refresh would
// put creation_timestamp later, and a program that counts seven days from it, as
// after going back to it, would ask for a login only when the old one is long over.
// A time after the token's issue can't be its login's. Without a refresh token in
// both nobody knows whether they are of one login.
func keepsLogin(name string, existing []byte, d Document, o Options) Document {
	if name != Schwab && name != SchwabPy || !d.LoginAt.IsZero() || d.RefreshToken.IsZero() {
		return d
	}
	before, err := Decode(name, existing, o)
	if err != nil || !before.RefreshToken.Equal(d.RefreshToken) || !d.IssuedAt.IsZero() && before.LoginAt.After(d.IssuedAt) {
		return d
	}
	d.LoginAt, d.LoginUncertain = before.LoginAt, before.LoginUncertain
	return d
}

func schwabTimes(d Document) map[string]time.Time {
	return present(map[string]time.Time{"creation_timestamp": schwabLogin(d), "token.expires_at": d.Expiry})
}

func schwabOfToken() []string {
	return []string{"token.expires_in", "token.refresh_token", "token.access_token", "token.expires_at"}
}

// liftSchwab puts the object around a bare token.
func liftSchwab(old members) members {
	if raw, _ := old.get("token"); len(raw) > 0 && raw[0] == '{' {
		return old
	}
	if !bareToken(old) {
		return old
	}
	var above, token members
	for _, m := range old {
		switch m.key {
		case "creation_timestamp":
			above = append(above, m)
		case "token": // not an object, so nothing of ours
		default:
			token = append(token, m)
		}
	}
	return append(above, member{"token", token.compact()})
}

func bareToken(m members) bool {
	_, access := m.get("access_token")
	_, refresh := m.get("refresh_token")
	return access || refresh
}

// readSchwabPy reads the bare token too.
func readSchwabPy(o object, opt Options) Document {
	if o.object("token") == nil {
		bare, err := json.Marshal(o)
		if err != nil { // values that were read can be written
			return Document{}
		}
		o = object{"token": bare, "creation_timestamp": o["creation_timestamp"]}
	}
	return readSchwab(o, opt)
}

func readSchwab(o object, opt Options) Document {
	loc := opt.location()
	t := o.object("token")
	d := readAnswer(t)
	d.Expiry, d.Naive = t.moment("expires_at", loc)
	d.LoginAt, _ = o.moment("creation_timestamp", loc)
	// Some writers reset it at each refresh.
	d.LoginUncertain = !d.LoginAt.IsZero()
	switch _, known := t.seconds("expires_in"); {
	case !known:
	case !d.Expiry.IsZero():
		d.IssuedAt = moment.Add(d.Expiry, -max(d.Lifetime, 0))
	case !d.LoginAt.IsZero():
		// The token is at least as young as the login; earlier is safer.
		d.Expiry, d.Uncertain = after(d.LoginAt, d.Lifetime), true
	}
	return counted(d, false)
}
