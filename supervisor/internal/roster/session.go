package roster

import (
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/keepalive"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Session is what b knows of the session of an account's newest version. The version
// has none if the broker's sessions don't die of idleness, or if its token is dead or
// was refused; known is false if nothing was heard of that version yet.
func Session(b *keepalive.Beats, account string, rec store.Record, now time.Time) (s keepalive.Session, has, known bool) {
	s, has = b.Session(account)
	has = has && rec.Version > 0 && !refresh.AccessRefused(rec) && rec.Token.Valid(now)
	return s, has, has && s.Version == rec.Version
}
