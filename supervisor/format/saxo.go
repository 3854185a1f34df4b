package format

import (
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

// saxoFile is the file that the Saxo keeper's bots read.
type saxoFile struct {
	AccessToken  string `json:"access_token,omitempty"`
	RefreshToken string `json:"refresh_token,omitempty"`
	TokenExpiry  string `json:"token_expiry,omitempty"`
	AppKey       string `json:"app_key,omitempty"`
	AppSecret    string `json:"app_secret,omitempty"`
}

// saxoEarly is by how much token_expiry lies before the token's end: its
// readers compare it with their clock and allow for nothing else.
const saxoEarly = 60 * time.Second

func saxoLayout(d Document, o Options) any {
	f := saxoFile{
		AccessToken: d.AccessToken.Reveal(), RefreshToken: d.RefreshToken.Reveal(),
		AppKey: d.ClientID, AppSecret: d.ClientSecret.Reveal(),
	}
	if !d.Expiry.IsZero() {
		f.TokenExpiry = isoformat(d.Expiry.Add(-saxoEarly).In(o.location()))
	}
	return f
}

func saxoTimes(d Document) map[string]time.Time {
	if d.Expiry.IsZero() {
		return nil
	}
	return map[string]time.Time{"token_expiry": d.Expiry.Add(-saxoEarly)}
}

func readSaxo(o object, opt Options) Document {
	d := Document{
		AccessToken: o.secret("access_token"), RefreshToken: o.secret("refresh_token"),
		ClientID: o.text("app_key"), ClientSecret: o.secret("app_secret"),
	}
	d.Expiry, d.Naive = o.moment("token_expiry", opt.location())
	d.Expiry = moment.Add(d.Expiry, saxoEarly)
	d.Lifetime, _ = o.seconds("expires_in")
	return counted(d, false)
}

// isoformat is Python's datetime.isoformat of a naive time: microseconds,
// unless they are zero.
func isoformat(t time.Time) string {
	if t.Nanosecond() < int(time.Microsecond) {
		return t.Format("2006-01-02T15:04:05")
	}
	return t.Format("2006-01-02T15:04:05.000000")
}
