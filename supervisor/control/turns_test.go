package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/localsocket"
)

// refreshing gives each who may have it a newer token.
type refreshing struct {
	Backend
	last      bool
	refreshed int
}

func (b *refreshing) UsableToken(_ context.Context, req TokenRequest) (TokenAnswer, error) {
	if err := req.May(b.last); err != nil {
		return TokenAnswer{}, err
	}
	b.refreshed++
	return TokenAnswer{Account: req.Account}, nil
}

// asking is a server and what it has logged.
func asking() (b *refreshing, log *bytes.Buffer, ask func(uid uint32, account string) error) {
	b, log = &refreshing{}, &bytes.Buffer{}
	logger := slog.New(slog.NewTextHandler(log, nil))
	s := NewServer(b, event.NewBus(logger, time.Now), logger)
	return b, log, func(uid uint32, account string) error {
		r, _ := http.NewRequest("POST", "/", nil)
		p := peer{Peer: localsocket.Peer{UID: uid, PID: 7}}
		_, err := s.inTurn(r.WithContext(context.WithValue(r.Context(), peerKey{}, p)), TokenRequest{Account: account})
		return err
	}
}

// TestAFaultyReaderIsSlowedDown: of an account, each user's programs get six refreshes in
// a row, and six an hour from then on; he is told when to ask again, and whoever runs the
// supervisor once. Others have their own.
func TestAFaultyReaderIsSlowedDown(t *testing.T) {
	for name, uid := range map[string]uint32{"a reader": 4_000_000_001, "root": 0} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, log, ask := asking()
				for minute := range 120 {
					err := ask(uid, "main")
					late, refused := errors.AsType[*Error](err)
					if refused != (minute >= 6 && minute%10 != 0) {
						t.Fatalf("minute %d: %v", minute, err)
					}
					if refused {
						if wait := time.Until(late.RetryAt); late.Code != CodeNotYet || wait <= 0 || wait > turnEvery || wait%time.Minute != 0 {
							t.Errorf("minute %d: %s in %s", minute, late.Code, wait)
						}
						if shown := errorForReader("main", err); !strings.Contains(shown.Message, "6 times for programs of your user") || !shown.RetryAt.Equal(late.RetryAt) {
							t.Errorf("he is told %q", shown.Message)
						}
					}
					time.Sleep(time.Minute)
				}
				if b.refreshed != 17 {
					t.Errorf("%d refreshes in two hours", b.refreshed)
				}
				for account, who := range map[string]uint32{"main": 4_000_000_002, "other": uid} {
					if err := ask(who, account); err != nil {
						t.Errorf("user %d, account %s: %v", who, account, err)
					}
				}
				if n := strings.Count(log.String(), "level=WARN"); n != 1 || !strings.Contains(log.String(), fmt.Sprintf("uid=%d pid=7", uid)) || !strings.Contains(log.String(), "account=main") {
					t.Errorf("%d warnings:\n%s", n, log)
				}
				time.Sleep(turnsWindow)
				for range turnsAtOnce + 1 {
					_ = ask(uid, "main")
				}
				if n := strings.Count(log.String(), "level=WARN"); n != 2 || b.refreshed != 19+turnsAtOnce {
					t.Errorf("after an hour of silence: %d warnings, %d refreshes", n, b.refreshed)
				}
			})
		})
	}
}

// TestTheLastOneIsForAnother: what a broker allows programs last is not for who has had one
// within the hour.
func TestTheLastOneIsForAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, log, ask := asking()
		if err := ask(1, "main"); err != nil {
			t.Fatal(err)
		}
		b.last = true
		time.Sleep(10 * time.Minute)
		if late, ok := errors.AsType[*Error](ask(1, "main")); !ok || time.Until(late.RetryAt) != 50*time.Minute || !strings.Contains(late.Message, "left for those of another user") {
			t.Errorf("who has had one: %v", late)
		}
		if err := ask(2, "main"); err != nil {
			t.Errorf("another: %v", err)
		}
		time.Sleep(50 * time.Minute)
		if err := ask(1, "main"); err != nil {
			t.Errorf("an hour later: %v", err)
		}
		if log.Len() > 0 {
			t.Errorf("it is told:\n%s", log)
		}
	})
}
