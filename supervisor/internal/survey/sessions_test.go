package survey

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/alert"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/keepalive"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/roster"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// competing is a provider, and the keeper of one account, whose session another login
// has.
type competing struct{ rec store.Record }

func (competing) Describe(context.Context) (sdk.Description, error) {
	return sdk.Description{Keepalive: true, KeepaliveEvery: time.Minute}, nil
}

func (competing) KeepAlive(context.Context, sdk.KeepaliveRequest) (sdk.Life, error) {
	return sdk.Competing, nil
}

func (competing) Serves() bool { return true }

func (c competing) Session(string) (sdk.Account, store.Record, bool, error) {
	return sdk.Account{}, c.rec, true, nil
}

func (c competing) SessionOf(_ string, version uint64) bool { return version == c.rec.Version }

func (competing) SessionGone(string, uint64, bool) {}

// What was said last of a session counts for its token alone, and while that lives and
// was not refused: no alert of it outlasts that.
func TestSessionOfADeadTokenIsNoTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := slog.New(slog.DiscardHandler)
		now := time.Now()
		rec := store.Record{Account: "main", Version: 3, Token: sdk.Token{AccessToken: sdk.NewSecret("a"), RefreshToken: sdk.NewSecret("r"), IssuedAt: now, Lifetime: time.Hour}}
		desk := competing{rec}
		b := keepalive.New(keepalive.Config{Provider: "schwab", Names: []string{"main"}, Accounts: desk, Events: event.NewBus(log, time.Now), Log: log, Wall: time.Now})
		if got := sessionAlerts(b, "main", rec, now).State; got != alert.SessionUnknown {
			t.Errorf("before anything was heard: %d", got)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); b.Run(ctx, desk) }()
		time.Sleep(time.Second)
		next, refused, renewed := rec, rec, rec
		next.Version++
		refused.Health.NeedsLogin = rec.Spends().Fingerprint()
		renewed.Way = store.WayRenew
		renewed.Health.NeedsLogin = renewed.Spends().Fingerprint()
		for name, c := range map[string]struct {
			rec   store.Record
			at    time.Time
			want  alert.SessionState
			shown bool
		}{
			"now":               {rec, now, alert.SessionCompeting, true},
			"of the next token": {next, now, alert.SessionUnknown, false},
			"dead":              {rec, now.Add(2 * time.Hour), alert.SessionNone, false},
			"refused":           {renewed, now, alert.SessionNone, false},
			"not to be renewed": {refused, now, alert.SessionCompeting, true},
			"no token":          {store.Record{}, now, alert.SessionNone, false},
		} {
			if got := sessionAlerts(b, "main", c.rec, c.at).State; got != c.want {
				t.Errorf("%s: %d, want %d", name, got, c.want)
			}
			if _, _, shown := roster.Session(b, "main", c.rec, c.at); shown != c.shown {
				t.Errorf("%s: shown: %t", name, shown)
			}
		}
		cancel()
		<-done
	})
}
