package control

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/localsocket"
)

// RunBy has another user count as who runs the supervisor, for the tests beside.
func (s *Server) RunBy(uid uint32) { s.admission.own = uid }

// Patterns are those of all calls, for the tests beside.
func (s *Server) Patterns() (all []string) {
	for _, c := range s.routes() {
		all = append(all, c.pattern)
	}
	return all
}

// TestWhoMayCall has a row for each call: whether who runs the supervisor, root, a reader
// of the account, one of another account and a stranger may make it.
func TestWhoMayCall(t *testing.T) {
	const (
		owners  = "owner root"
		ours    = "owner root reader"
		anybody = "owner root reader other" // each gets what is his: TestReadersSeeNothingElse
	)
	rows := map[string]string{
		"GET /healthz":                               owners,
		"GET /readyz":                                owners,
		"GET /v1/version":                            owners,
		"GET /v1/status":                             anybody,
		"GET /v1/config/difference":                  owners,
		"POST /v1/config/reload":                     owners,
		"GET /v1/events":                             anybody,
		"GET /v1/metrics":                            owners,
		"POST /v1/adopt":                             owners,
		"POST /v1/providers/{provider}/restart":      owners,
		"GET /v1/accounts":                           owners,
		"POST /v1/accounts/{account}/rename":         owners,
		"POST /v1/accounts/{account}/forget":         owners,
		"POST /v1/accounts/{account}/refresh":        owners,
		"POST /v1/accounts/{account}/test":           owners,
		"GET /v1/accounts/{account}/revoke":          owners,
		"POST /v1/accounts/{account}/revoke":         owners,
		"POST /v1/accounts/{account}/pause":          owners,
		"POST /v1/accounts/{account}/resume":         owners,
		"POST /v1/pause":                             owners,
		"POST /v1/resume":                            owners,
		"GET /v1/accounts/{account}/token":           ours,
		"POST /v1/accounts/{account}/token":          ours,
		"POST /v1/accounts/{account}/import":         owners,
		"POST /v1/accounts/{account}/login":          owners,
		"POST /v1/accounts/{account}/login/cancel":   owners,
		"POST /v1/accounts/{account}/login/complete": owners,
		"POST /v1/accounts/{account}/login/wait":     owners,
		"POST /v1/accounts/{account}/login/confirm":  owners,
		"POST /v1/accounts/{account}/login/discard":  owners,
		"GET /v1/sinks":                              owners,
		"GET /v1/alerts":                             owners,
		"POST /v1/alerts/{alert}/acknowledge":        owners,
		"POST /v1/alerts/{alert}/silence":            owners,
		"POST /v1/alerts/{alert}/resume":             owners,
		"POST /v1/sinks/{sink}/test":                 owners,
		"POST /v1/sinks/{sink}/redeliver":            owners,
		"POST /v1/sinks/{sink}/disable":              owners,
		"POST /v1/sinks/{sink}/enable":               owners,
		"POST /v1/sinks/{sink}/restart":              owners,
		"/":                                          owners,
	}
	const service, bot, other, stranger = 990, 1001, 1002, 1003
	log := slog.New(slog.DiscardHandler)
	s := NewServer(struct{ Backend }{}, event.NewBus(log, time.Now), log,
		config.Reader{User: "1001", Accounts: []string{"main"}}, config.Reader{User: "1002", Accounts: []string{"another"}})
	s.RunBy(service)
	seen := map[string]bool{}
	for _, c := range s.routes() {
		seen[c.pattern] = true
		row, there := rows[c.pattern]
		if !there {
			t.Errorf("%s has no row: who may make this call?", c.pattern)
			continue
		}
		may := map[string]bool{}
		for who := range strings.FieldsSeq(row) {
			may[who] = true
		}
		for who, uid := range map[string]uint32{"owner": service, "root": 0, "reader": bot, "other": other, "stranger": stranger} {
			if got := s.admission.rightsOf(localsocket.Peer{UID: uid}).include(c, "main"); got != may[who] {
				t.Errorf("%s: %s may: %t, want %t", c.pattern, who, got, may[who])
			}
		}
	}
	for pattern := range rows {
		if !seen[pattern] {
			t.Errorf("there is no call %s any more", pattern)
		}
	}
}

// TestEachCallIsDocumented: in the table of README.md and in the list at the top of
// api.go stand all calls and no other.
func TestEachCallIsDocumented(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	want := slices.DeleteFunc(NewServer(struct{ Backend }{}, event.NewBus(log, time.Now), log).Patterns(), func(p string) bool { return p == "/" })
	slices.Sort(want)
	for file, of := range map[string]struct{ end, line string }{
		"README.md": {"**Readers**", "(?m)^\\| `[A-Z]+ /.*? \\|"}, // they have a table of their own
		"api.go":    {"\npackage control", "(?m)^//\t[A-Z]+ +/.*"},
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		above, _, found := strings.Cut(string(text), of.end)
		if !found {
			t.Fatalf("%s has no %q", file, of.end)
		}
		var got []string
		for _, line := range regexp.MustCompile(of.line).FindAllString(above, -1) {
			for _, call := range regexp.MustCompile("(GET|POST) +(/[^ `]+)").FindAllStringSubmatch(line, -1) {
				got = append(got, call[1]+" "+call[2])
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s has the calls\n%s\nand there are\n%s", file, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// TestWhoOnlyObservesChangesNothing: of what is not a GET, which reads, one who only observes
// answers what has no part in any token.
func TestWhoOnlyObservesChangesNothing(t *testing.T) {
	harmless := map[string]bool{"POST /v1/config/reload": true, "POST /v1/providers/{provider}/restart": true, "/": true}
	log := slog.New(slog.DiscardHandler)
	s := NewServer(struct{ Backend }{}, event.NewBus(log, time.Now), log)
	s.OnlyObserves()
	r := httptest.NewRequestWithContext(context.WithValue(t.Context(), peerKey{}, peer{rights: rights{all: true}}), http.MethodPost, "/", nil)
	for _, c := range s.routes() {
		reached := false
		c.handle = func(http.ResponseWriter, *http.Request) { reached = true }
		w := httptest.NewRecorder()
		s.admitted(c)(w, r)
		switch want := harmless[c.pattern] || strings.HasPrefix(c.pattern, "GET "); {
		case reached != want:
			t.Errorf("%s is answered: %t", c.pattern, reached)
		case !want && (w.Code != http.StatusConflict || !strings.Contains(w.Body.String(), "this supervisor only observes; start it without --observe")):
			t.Errorf("%s: %d %s", c.pattern, w.Code, w.Body)
		}
	}
}

// TestWhoIsAReader: by number or name, by his own group or another one he is in; and of
// several lines each counts.
func TestWhoIsAReader(t *testing.T) {
	a := admission{own: 990, readers: []config.Reader{
		{User: "1001", Accounts: []string{"a", "b"}}, {Group: "2001", Accounts: []string{"c"}}, {User: "1002", Group: "2002", Accounts: []string{config.EveryAccount}},
		{User: "nobody-of-this-machine", Group: "none-of-this-machine", Accounts: []string{config.EveryAccount}}, {User: "1004"}, {Accounts: []string{"d"}},
	}}
	for _, tt := range []struct {
		peer  localsocket.Peer
		reads string
	}{
		{localsocket.Peer{UID: 990}, "a b c d"},
		{localsocket.Peer{UID: 0, Groups: []uint32{0}}, "a b c d"},
		{localsocket.Peer{UID: 1001, Groups: []uint32{1001}}, "a b"},
		{localsocket.Peer{UID: 1001, Groups: []uint32{1001, 5, 2001}}, "a b c"},
		{localsocket.Peer{UID: 7, Groups: []uint32{2001}}, "c"},
		{localsocket.Peer{UID: 1002}, "a b c d"},
		{localsocket.Peer{UID: 7, Groups: []uint32{7, 2002}}, "a b c d"},
		{localsocket.Peer{UID: 1004, Groups: []uint32{1004}}, ""},
		{localsocket.Peer{UID: 2001, Groups: []uint32{1001, 0}}, ""}, // numbers of users are none of groups
		{localsocket.Peer{UID: nobody}, ""},
	} {
		m := a.rightsOf(tt.peer)
		may := map[string]bool{}
		for account := range strings.FieldsSeq(tt.reads) {
			may[account] = true
		}
		for _, account := range []string{"a", "b", "c", "d"} {
			if got := m.reads(account); got != may[account] {
				t.Errorf("%+v reads %q: %t", tt.peer, account, got)
			}
		}
	}
}

func TestTurnedAwayIsToldSeldom(t *testing.T) {
	var s seldom
	now := time.Unix(1e9, 0)
	for _, tt := range []struct {
		uid   uint32
		after time.Duration
		due   bool
	}{{1, 0, true}, {1, time.Second, false}, {2, time.Second, true}, {1, 59 * time.Second, false}, {1, time.Minute, true}, {1, 61 * time.Second, false}} {
		if got := s.due(tt.uid, now.Add(tt.after)); got != tt.due {
			t.Errorf("user %d after %s: %t", tt.uid, tt.after, got)
		}
	}
	for uid := range uint32(5000) {
		s.due(uid, now)
	}
	if len(s.last) > 1000 {
		t.Errorf("%d users are remembered", len(s.last))
	}
}

// Where the socket is open to readers, whom the kernel has no number for is nobody, also if
// the supervisor itself is such a one; where it is not, only he gets in.
func TestUnmappedIsNobody(t *testing.T) {
	p := localsocket.Peer{UID: config.Unmapped, Groups: []uint32{2001}}
	if m := (admission{own: config.Unmapped, readers: []config.Reader{{Group: "2001", Accounts: []string{"a"}}}}).rightsOf(p); !m.none() {
		t.Errorf("with readers: %+v", m)
	}
	if m := (admission{own: config.Unmapped}).rightsOf(p); !m.all {
		t.Errorf("without: %+v", m)
	}
}
