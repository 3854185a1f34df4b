package control_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

func TestEveryCallThatPausesReachesTheBackend(t *testing.T) {
	socket, _, _ := serve(t, &backend{})
	c := control.NewClient(socket)
	ctx := t.Context()
	if p, err := c.Pause(ctx, control.PauseRequest{Account: "main", For: 2 * time.Hour, Reason: "it <moves>"}); err != nil || p.Account != "main" ||
		p.Pause.Until.Sub(p.Pause.Since) != 2*time.Hour || p.Pause.Reason != "it <moves>" || p.Pause.By.PID != int32(os.Getpid()) {
		t.Errorf("Pause = %+v, %v", p, err)
	}
	if p, err := c.PauseAll(ctx, control.PauseRequest{Reason: "all"}); err != nil || len(p.Accounts) != 1 || p.Accounts[0].Account != "" || !p.Accounts[0].Pause.Until.IsZero() {
		t.Errorf("PauseAll = %+v, %v", p, err)
	}
	if r, err := c.Resume(ctx, "main"); err != nil || !r.Resumed || r.Account != "main" || r.Pause.By.PID != int32(os.Getpid()) {
		t.Errorf("Resume = %+v, %v", r, err)
	}
	if r, err := c.ResumeAll(ctx); err != nil || len(r.Accounts) != 1 || !r.Accounts[0].Resumed {
		t.Errorf("ResumeAll = %+v, %v", r, err)
	}
	for reason, during := range map[string]time.Duration{"two\nlines": 0, strings.Repeat("x", 201): 0, "a": 367 * 24 * time.Hour} {
		var refused *control.Error
		if _, err := c.Pause(ctx, control.PauseRequest{Account: "main", For: during, Reason: reason}); !errors.As(err, &refused) || refused.Code != control.CodeBadRequest {
			t.Errorf("paused for %s because of %q: %v", during, reason, err)
		}
	}
}

// Who wants what a paused account would have to ask for is told by a code of its own, and
// when it is worth asking again if the pause is over by itself.
func TestPausedIsACode(t *testing.T) {
	for _, until := range []time.Time{{}, time.Unix(1782907200, 0)} {
		err := control.RefreshError(&refresh.IsPaused{Account: "main", Pause: store.Pause{Since: time.Unix(1782900000, 0), Until: until}})
		var said *control.Error
		if !errors.As(err, &said) || said.Code != control.CodePaused || said.Status != 409 || !said.RetryAt.Equal(until) || !strings.Contains(said.Message, "tokenkeeper resume main") {
			t.Errorf("%+v", err)
		}
	}
}
