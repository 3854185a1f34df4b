package refresh_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

func TestForcedRefreshAndRefreshThatIsNotDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		g := r.start()
		if did, err := r.keeper.Refresh(t.Context(), "one", false); did || err != nil {
			t.Errorf("not due: %t, %v", did, err)
		}
		if did, err := r.keeper.Refresh(t.Context(), "one", true); !did || err != nil {
			t.Errorf("forced: %t, %v", did, err)
		}
		if v := r.record("one").Version; v != 2 {
			t.Errorf("version %d, want 2", v)
		}
		if _, err := r.keeper.Refresh(t.Context(), "nobody", true); !errors.Is(err, refresh.ErrUnknownAccount) {
			t.Errorf("unknown account: %v", err)
		}
		_ = g.end()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := r.keeper.Refresh(ctx, "one", true); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with no process: %v", err)
		}
	})
}

// A person may insist on sending a refresh token that was refused. Nobody else
// is blamed for what comes of it, and it is not tried again.
func TestForcedRefreshOfADeadToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		defer r.watch()()
		token := r.broker.grant("one")
		token.RefreshLifetime = 7 * 24 * time.Hour
		if _, err := r.keeper.Import(t.Context(), store.Record{Account: "one", Token: token}, true); err != nil {
			t.Fatal(err)
		}
		g := r.start()
		r.broker.grant("one") // another login has ended ours
		refused := r.wall()
		if _, err := r.keeper.Refresh(t.Context(), "one", true); !errors.Is(err, sdk.ErrInvalidGrant) {
			t.Fatal(err)
		}
		said := func() string {
			synctest.Wait()
			r.mu.Lock()
			defer r.mu.Unlock()
			for _, e := range slices.Backward(r.events) {
				if e.Type == event.NeedsLogin {
					return e.Message
				}
			}
			return ""
		}
		if m := said(); !strings.Contains(m, "Another program") {
			t.Fatalf("the first refusal says %q", m)
		}

		time.Sleep(time.Hour)
		r.broker.next("one", fault{beforeSend: &sdk.Error{Kind: sdk.KindNotSent, Message: "no network"}})
		if _, err := r.keeper.Refresh(t.Context(), "one", true); !errors.Is(err, sdk.ErrNotSent) {
			t.Fatal(err)
		}
		for range 2 {
			time.Sleep(time.Hour)
			posts := r.broker.count()
			_, err := r.keeper.Refresh(t.Context(), "one", true)
			if !errors.Is(err, sdk.ErrInvalidGrant) {
				t.Fatal(err)
			}
			for _, text := range []string{err.Error(), said()} {
				for _, want := range []string{"refused", refused.Format(time.RFC3339) + " already", "tokenkeeper login one"} {
					if !strings.Contains(text, want) {
						t.Errorf("%q does not say %q", text, want)
					}
				}
				if strings.Contains(text, "program") {
					t.Errorf("%q blames another program", text)
				}
			}
			time.Sleep(24 * time.Hour)
			if n := r.broker.count() - posts; n != 1 {
				t.Errorf("%d requests, want the one that was asked for", n)
			}
		}
		if s := r.status("one"); s.State != refresh.NeedsLogin || s.Record.Health.LastKind != sdk.KindInvalidGrant {
			t.Errorf("state %s, last failure %s", s.State, s.Record.Health.LastKind)
		}
		_ = g.end()
	})
}
