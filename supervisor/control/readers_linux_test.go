package control_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/usertest"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// Users and a group of the tests; none has a name.
const (
	keeper  = usertest.Stranger + 1 // runs the supervisor
	bot     = usertest.Stranger + 2 // reads main
	trader  = usertest.Stranger + 3 // is in the group traders
	other   = usertest.Stranger + 4 // reads canary
	traders = usertest.Stranger + 5 // reads main
)

// shared is a supervisor with the accounts main and canary. Whatever else it says names
// the latter.
type shared struct {
	backend
	fails error
}

func (s *shared) Status(context.Context) (control.Status, error) {
	account := func(name string) control.Account {
		return control.Account{
			Name: name, Provider: "schwab", Advice: "canary", Unread: "/canary", Login: &control.OpenLogin{}, SetAside: []control.SetAside{{Why: "canary"}},
			Shown: refresh.Shown{State: control.AccountValid, Version: 3, Person: "canary", LastError: "canary", Withheld: "canary", WaitingText: "canary"},
			Sinks: []control.Delivery{{Sink: "canary"}},
		}
	}
	return control.Status{
		Version: "1.2.3", PID: 7, StateDir: "/canary", Config: "/canary.yaml", ConfigProblem: "canary", ConfigDifference: "canary", ConfigReloadError: "canary", Program: "/canary",
		Accounts: []control.Account{account("canary"), account("main")}, Providers: []control.Provider{{Name: "canary"}},
		Alerts: []event.Alert{{Account: "main", Message: "canary"}}, Machine: control.Machine{Here: "canary"},
	}, nil
}

func (s *shared) Token(_ context.Context, account string) (control.TokenAnswer, error) {
	if s.fails != nil {
		return control.TokenAnswer{}, s.fails
	}
	return control.TokenAnswer{Account: account, Version: 3, AccessToken: "at-" + account, TokenType: "Bearer"}, nil
}

func (s *shared) UsableToken(ctx context.Context, req control.TokenRequest) (control.TokenAnswer, error) {
	return s.Token(ctx, req.Account)
}

// logged is what the supervisor has logged.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// serveReaders serves b for the readers of the tests, on a socket that they get at.
func serveReaders(t *testing.T, b control.Backend) (s *control.Server, socket string, bus *event.Bus, log *logged) {
	t.Helper()
	usertest.NeedsRoot(t)
	socket, log = filepath.Join(t.TempDir(), "run", "control.sock"), &logged{}
	c := config.Control{Socket: socket, Readers: []config.Reader{
		{User: fmt.Sprint(bot), Accounts: []string{"main"}}, {Group: fmt.Sprint(traders), Accounts: []string{"main"}}, {User: fmt.Sprint(other), Accounts: []string{"canary"}},
	}}
	logger := slog.New(slog.NewTextHandler(log, nil))
	door, err := control.OpenDoor(&config.Config{StateDir: "/var/lib/tokenkeeper", Control: c}, nil, logger)
	if err != nil {
		t.Fatal(err)
	}
	for dir := filepath.Dir(filepath.Dir(socket)); dir != os.TempDir(); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	bus = event.NewBus(logger, time.Now)
	s = control.NewServer(b, bus, logger, c.Readers...)
	s.RunBy(keeper)
	serveOn(t, door, s)
	return s, socket, bus, log
}

// asks makes one call as a user in groups, and returns how it was answered.
func asks(t *testing.T, socket string, uid int, groups []int, method, path string) (status int, body string) {
	t.Helper()
	resp := begun(t, usertest.Dial(t, socket, uid, groups...), method, path)
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func begun(t *testing.T, conn net.Conn, method, path string) *http.Response {
	t.Helper()
	waittest.Limit(t, conn)
	if _, err := fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", method, path); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// TestReadersAreLetIn: by the kernel's word on real users, through the socket as it is
// opened for them, each gets what the configuration gives him and is told what it lacks.
func TestReadersAreLetIn(t *testing.T) {
	var log *logged
	t.Cleanup(func() { // when what was joined has been told
		for _, want := range []string{fmt.Sprintf("act=token/newer uid=%d", bot), fmt.Sprintf("act=token/newer uid=%d", trader)} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log has no %q:\n%s", want, log)
			}
		}
	})
	_, socket, _, its := serveReaders(t, &shared{})
	log = its
	for name, who := range map[string]struct {
		uid    int
		groups []int
		main   bool
		canary bool
	}{
		"root":                       {0, nil, true, true},
		"who runs it":                {keeper, nil, true, true},
		"a reader":                   {bot, nil, true, false},
		"by a group":                 {trader, []int{trader, 7, traders}, true, false},
		"by his own group":           {trader, []int{traders}, true, false},
		"a reader of the other":      {other, nil, false, true},
		"a reader of both":           {other, []int{other, traders}, true, true},
		"a stranger":                 {usertest.Stranger, nil, false, false},
		"a stranger in other groups": {usertest.Stranger, []int{7, bot, 0}, false, false},
	} {
		for account, may := range map[string]bool{"main": who.main, "canary": who.canary} {
			for _, method := range []string{"GET", "POST"} {
				status, body := asks(t, socket, who.uid, who.groups, method, "/v1/accounts/"+account+"/token")
				want := fmt.Sprintf("{user: %d, accounts: [%s]}", who.uid, account)
				if may && (status != http.StatusOK || !strings.Contains(body, "at-"+account)) || !may && (status != http.StatusForbidden || !strings.Contains(body, want)) {
					t.Errorf("%s: %s of %s: %d %s", name, method, account, status, body)
				}
			}
		}
	}
	for _, want := range []string{
		fmt.Sprintf("level=INFO msg=\"the reader user %d gets a token over the control API\" event=audit act=token uid=%[1]d", bot),
		"account=main version=3", fmt.Sprintf("act=token uid=%d", trader),
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log has no %q:\n%s", want, log)
		}
	}
	if strings.Contains(log.String(), "at-") {
		t.Errorf("a token is logged:\n%s", log)
	}
}

// TestReadersSeeNothingElse makes every call as a reader of main: nothing that he gets
// names the other account, or has anything of its token.
func TestReadersSeeNothingElse(t *testing.T) {
	b := &shared{}
	s, socket, bus, _ := serveReaders(t, b)
	for _, fails := range []error{
		nil, errors.New("canary"), control.Errorf(control.CodeNotYet, "canary"), control.Errorf(control.CodeNotFound, "there are: main, canary"),
		control.Errorf(control.CodeNeedsLogin, "canary"), control.Errorf(control.CodeUnavailable, "canary"), control.Errorf(control.CodeBadRequest, "canary"),
	} {
		b.fails = fails
		for _, pattern := range s.Patterns() {
			method, path, _ := strings.Cut(pattern, " ")
			if path == "" {
				method, path = "GET", "/v1/nonsense"
			}
			if path == "/v1/events" {
				continue
			}
			path = strings.NewReplacer("{account}", "main", "{provider}", "schwab", "{sink}", "bot", "{alert}", "needs_login:schwab").Replace(path)
			status, body := asks(t, socket, bot, nil, method, path)
			if strings.Contains(body, "canary") || strings.Contains(body, "at-") != (strings.HasSuffix(path, "/token") && fails == nil) {
				t.Errorf("%s %s, which fails by %v: %d %s", method, path, fails, status, body)
			}
		}
	}
	b.fails = nil
	status, body := asks(t, socket, bot, nil, "GET", "/v1/status")
	if status != http.StatusOK || !strings.Contains(body, `"name":"main"`) || !strings.Contains(body, `"version":3`) {
		t.Errorf("the status: %d %s", status, body)
	}
	// Whether there is an account of a name he can't tell.
	_, is := asks(t, socket, bot, nil, "GET", "/v1/accounts/canary/token")
	_, isNot := asks(t, socket, bot, nil, "GET", "/v1/accounts/nobody/token")
	if strings.ReplaceAll(is, "canary", "nobody") != isNot {
		t.Errorf("of an account that there is:\n%s\nof none:\n%s", is, isNot)
	}
	if status, body := asks(t, socket, bot, nil, "GET", "/v1/events?audit=true"); status != http.StatusForbidden {
		t.Errorf("who reads tokens: %d %s", status, body)
	}

	resp := begun(t, usertest.Dial(t, socket, bot), "GET", "/v1/events") // whose body does not end
	bus.Publish(0, event.Event{Type: event.Refreshed, Account: "main", Version: 4, Message: "canary", Sink: "canary", Provider: "canary"})
	bus.Publish(0, event.Event{Type: event.Refreshed, Account: "canary", Version: 4, Message: "canary"})
	bus.Publish(0, event.Event{Type: event.ProviderStopped, Provider: "canary", Message: "canary"})
	bus.Publish(0, event.Event{Type: event.LoggedIn, Account: "main", Version: 5, Message: "canary", Kind: "canary", Attempt: "canary"})
	lines := bufio.NewScanner(resp.Body)
	for i, want := range []string{`"seq":1,`, `"seq":2,`} { // no gap, at which he would read the token
		if !lines.Scan() || !strings.HasPrefix(lines.Text(), "{"+want) || strings.Contains(lines.Text(), "canary") || !strings.Contains(lines.Text(), fmt.Sprintf(`"account":"main","version":%d`, 4+i)) {
			t.Errorf("event %d: %s", i, lines.Text())
		}
	}
}
