package refresh_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/sdk/oauth"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// What was to be sent once more, with the next client secret, and has not left, is sent by
// itself once it can be, with that secret, over a restart, too. The broker sees it once.
func TestNextSecretThatWasNotSentGoesByItself(t *testing.T) {
	insists := func(w *secretsAt) {
		if _, err := w.keeper.Refresh(w.t.Context(), "one", true); err == nil || !strings.Contains(err.Error(), "Nothing was sent") {
			w.t.Errorf("somebody insists: %v", err)
		}
	}
	for name, word := range map[string]func(*secretsAt){
		"somebody insists":                    insists,
		"somebody insists, before a restart":  func(w *secretsAt) { insists(w); w.again("old", "new") },
		"the list is turned round":            func(w *secretsAt) { w.again("new", "old") },
		"the list is turned round, restarted": func(w *secretsAt) { w.again("new", "old"); time.Sleep(time.Minute); w.again("new", "old") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newSecretsAt(t, brokersim.Config{Dialect: brokersim.Saxo}, false, false)
				time.Sleep(16 * time.Minute)
				w.posted("at its turn", 1)
				var away atomic.Bool
				p := w.provider.(says)
				p.rotating = &rotating{oauth.Client{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
					if away.Load() {
						return nil, errors.New("connection refused")
					}
					return w.sim.Dial(ctx, network, address)
				}}, w.sim.TokenURL()}
				w.provider = p
				away.Store(true)
				w.again("old", "new")
				synctest.Wait()
				word(w)
				time.Sleep(10 * time.Minute)
				w.posted("while it can't be sent", 1)
				away.Store(false)
				time.Sleep(2 * time.Minute)
				w.posted("then", 2)
				if s := w.status("one"); s.Record.Version != 3 || s.State != refresh.Valid || len(w.sim.Reused()) != 0 {
					t.Errorf("version %d, %s, %+v", s.Record.Version, s.State, s.Record.Health)
				}
				_ = w.gen.end()
			})
		})
	}
}
