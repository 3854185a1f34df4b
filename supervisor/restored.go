package supervisor

import (
	"fmt"
	"slices"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// decodeRestored reads what a sink gave back: in the format that it is given
// now, or, because that may have been another one, in any that can be read. Its
// errors do not repeat what stands there.
func decodeRestored(c config.Content, body []byte) (format.Document, error) {
	o := format.Options{Location: time.Local}
	if c.Timezone != "" {
		location, err := time.LoadLocation(c.Timezone)
		if err != nil {
			return format.Document{}, fmt.Errorf("timezone: %w", err)
		}
		o.Location = location
	}
	if slices.Contains(format.Names(), c.Format) {
		if d, err := format.Decode(c.Format, body, o); err == nil {
			return d, nil
		}
	}
	name, err := format.Detect(body)
	if err != nil {
		return format.Document{}, fmt.Errorf("what the sink gave back is in no format that can be read (%v can): %w", format.ReadNames(), err)
	}
	return format.Decode(name, body, o)
}

// doubted are the accounts that the store had to take from a backup, of which a
// newer version may have been lost.
func (s *Supervisor) doubted() map[string]bool {
	accounts := map[string]bool{}
	if r := s.store.Restored(); r != nil {
		for _, a := range r.Accounts {
			accounts[a.Account] = !a.Newest
		}
	}
	return accounts
}

// unfit says why a document is no use to an account without a usable token; ""
// if it is. With alive, the token in the store may be good, and is only doubted.
func unfit(a config.Account, rec store.Record, d format.Document, now time.Time, alive bool) string {
	theirs := d.RefreshToken.Fingerprint()
	switch {
	case d.Account != "" && d.Account != a.Name:
		return fmt.Sprintf("what the sink gave back is of account %q", d.Account)
	case d.Provider != "" && d.Provider != a.Provider:
		return fmt.Sprintf("what the sink gave back is of provider %q", d.Provider)
	case theirs == "":
		return "what the sink holds has no refresh token; give the sink include_refresh_token: true, so that it will"
	case theirs == rec.Token.RefreshToken.Fingerprint() && !alive:
		return "the sink holds the refresh token that the store has, and that one is dead"
	case rec.Replaced(theirs):
		return "the sink holds an older refresh token than the store"
	case rec.Version > 0 && !d.Expiry.After(rec.Token.Expiry()):
		return "the sink holds a token that is not newer than the one in the store"
	case !d.RefreshExpiry.IsZero() && !now.Before(d.RefreshExpiry):
		return fmt.Sprintf("the refresh token that the sink holds died %s", d.RefreshExpiry.UTC().Format(time.RFC3339))
	}
	return ""
}
