package format

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

// answer is what a token endpoint answers (RFC 6749, section 5.1), kept as it
// came. It does not say when that was; a program that kept it may have added the end.
func answer() layout {
	return layout{
		name: Answer,
		detect: func(o object) bool {
			return o.hasToken() && o.has("expires_in") && !o.has("expires_at") && !o.has("expires") && !o.has("issued_at")
		},
		read: readKept,
	}
}

// readKept is an answer with the end of its access token, if that stands beside it.
func readKept(o object, opt Options) Document {
	d := readAnswer(o)
	for _, name := range []string{"expiry", "expires_at"} {
		if d.Expiry.IsZero() {
			d.Expiry, d.Naive = o.moment(name, opt.location())
		}
	}
	return d
}

func readAnswer(o object) Document {
	d := Document{
		AccessToken: o.secret("access_token"), RefreshToken: o.secret("refresh_token"), IDToken: o.secret("id_token"),
		TokenType: o.text("token_type"), Scope: o.text("scope"),
	}
	d.Lifetime, _ = o.seconds("expires_in")
	d.RefreshLifetime, _ = o.seconds("refresh_token_expires_in")
	return d
}

// goOAuth2 is golang.org/x/oauth2's Token, which many programs keep with
// encoding/json. Its zero time means that the end is not known; expires_in is
// what the server said, and counts from nowhere.
func goOAuth2() layout {
	return layout{
		name:   GoOAuth2,
		detect: func(o object) bool { return o.hasToken() && o.has("expiry") && !o.has("expires_at") },
		read:   readKept,
	}
}

// schwabdev is the file tokens.json that Schwabdev wrote up to version 2
// (schwabdev/tokens.py, _set_tokens), with naive local times up to version 1;
// or the only row of version 3's table, as sqlite3 -json prints it.
func schwabdev() layout {
	return layout{
		name: Schwabdev,
		detect: func(o object) bool {
			return o.object("token_dictionary") != nil || o.has("access_token_issued") && o.hasToken()
		},
		read: readSchwabdev,
		unwrap: func(b []byte) []byte {
			var rows []json.RawMessage
			if json.Unmarshal(b, &rows) != nil || len(rows) != 1 {
				return b
			}
			return rows[0]
		},
	}
}

func readSchwabdev(o object, opt Options) Document {
	inner := o.object("token_dictionary")
	if inner == nil {
		inner = o
	}
	d := readAnswer(inner)
	var naive bool
	d.IssuedAt, naive = o.moment("access_token_issued", opt.location())
	// It is kept when only the access token is renewed: so it is the login.
	d.LoginAt, _ = o.moment("refresh_token_issued", opt.location())
	return counted(d, naive)
}

// encrypted says whether Schwabdev has encrypted the tokens.
func encrypted(d Document) bool {
	const mark = "enc:"
	return strings.HasPrefix(d.AccessToken.Reveal(), mark) || strings.HasPrefix(d.RefreshToken.Reveal(), mark)
}

// counted is d with its lifetime counted from when the token was issued, if
// that is known and nothing else tells its end.
func counted(d Document, naive bool) Document {
	switch {
	case !d.Expiry.IsZero():
		d.Lifetime = 0
	case d.Lifetime != 0 && !d.IssuedAt.IsZero():
		d.Expiry, d.Naive, d.Lifetime = after(d.IssuedAt, d.Lifetime), naive, 0
	}
	return d
}

// after is the moment by which a token that lives for d from t has died. One
// that was born dead had died then.
func after(t time.Time, d time.Duration) time.Time { return moment.Add(t, max(d, 0)) }
