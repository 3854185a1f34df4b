package sharing

import (
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// late is a file in memory of which what replaces it hangs until it is let go.
type late struct {
	*memory
	goes chan struct{}
}

func (f late) Mend(d format.Document) (string, error) { <-f.goes; return f.memory.Supersede(d) }

func (f late) Supersede(d format.Document) (string, error) { <-f.goes; return f.memory.Supersede(d) }

func (f late) TakeOut(dead sdk.Secret) (bool, error) { <-f.goes; return f.memory.TakeOut(dead) }

// TestWhatComesLateIsTold: what was done to the file after nobody waited for it any more is
// told as it would have been in time, because no look finds out: where the old file is kept,
// and that a dead token is out of it. What failed is not; it is tried again.
func TestWhatComesLateIsTold(t *testing.T) {
	dead := sdk.NewSecret("refresh-1")
	for name, c := range map[string]struct {
		does  func(s *Share)
		unput error
		says  string // "": nothing
	}{
		"a dead token is taken out": {func(s *Share) { _ = TakeOut(s, record(), dead) }, nil, "dead refresh token was taken out"},
		"none stood there":          {func(s *Share) { _ = TakeOut(s, record(), sdk.NewSecret("other")) }, nil, ""},
		"it can't be taken out":     {func(s *Share) { _ = TakeOut(s, record(), dead) }, errOnlyRead, ""},
		"it is mended":              {func(s *Share) { s.mend(record(), format.ErrUnreadable) }, nil, "kept in /bots/t.json.damaged"},
		"it can't be mended":        {func(s *Share) { s.mend(record(), format.ErrUnreadable) }, errOnlyRead, ""},
		"an unread one is replaced": {func(s *Share) { Unread{s}.GoPast(); Unread{s}.Supersede(record()) }, nil, "kept in /bots/t.json.damaged"},
		"an unread one is not":      {func(s *Share) { Unread{s}.GoPast(); Unread{s}.Supersede(record()) }, errOnlyRead, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := event.NewBus(slog.New(slog.DiscardHandler), time.Now)
				var mu sync.Mutex
				var messages []string
				bus.Observe(func(e event.Event) {
					mu.Lock()
					defer mu.Unlock()
					if e.Type == event.SharedFileMended {
						messages = append(messages, e.Message)
					}
				})
				told := func() []string {
					synctest.Wait()
					mu.Lock()
					defer mu.Unlock()
					return messages
				}
				f := late{&memory{doc: format.Document{RefreshToken: dead}, unput: c.unput}, make(chan struct{})}
				if strings.Contains(name, "unread") {
					f.err = errOnlyRead
				}
				s := shareWith(f, bus, bus.NewFacts())
				release := lock(t, s)
				c.does(s)
				release()
				if early := told(); len(early) > 0 {
					t.Errorf("told before it was done: %q", early)
				}
				close(f.goes)
				got := told()
				if c.says == "" && len(got) > 0 || c.says != "" && (len(got) != 1 || !strings.Contains(got[0], c.says)) {
					t.Errorf("told %q, want %q", got, c.says)
				}
			})
		})
	}
}
