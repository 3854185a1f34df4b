package control_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

func TestEveryCallReachesTheBackend(t *testing.T) {
	b := &backend{}
	socket, _, _ := serve(t, b)
	c := control.NewClient(socket)
	ctx := t.Context()

	if v, err := c.Version(ctx); err != nil || v.Version != "1.2.3" || v.Protocol == 0 || v.Go == "" {
		t.Errorf("Version = %+v, %v", v, err)
	}
	if s, err := c.Status(ctx); err != nil || s.PID != 7 || len(s.Accounts) != 1 {
		t.Errorf("Status = %+v, %v", s, err)
	}
	if r, err := c.Restart(ctx, "schwab"); err != nil || r.OldPID != 1 || r.PID != 2 {
		t.Errorf("Restart = %+v, %v", r, err)
	}
	for _, force := range []bool{true, false} {
		if r, err := c.Refresh(ctx, "main", force); err != nil || r.Refreshed != force || r.Account != "main" {
			t.Errorf("Refresh(%v) = %+v, %v", force, r, err)
		}
	}
	if got, err := c.TestAccount(ctx, "main"); err != nil || got.Account != "main" || got.Version != 5 || got.Took != time.Second {
		t.Errorf("TestAccount = %+v, %v", got, err)
	}
	if tok, err := c.Token(ctx, "main"); err != nil || tok.AccessToken != "at-<&>" {
		t.Errorf("Token = %+v, %v", tok, err)
	}
	want := control.TokenRequest{Account: "main", MinValid: 90 * time.Second, IfVersion: 2}
	if tok, err := c.UsableToken(ctx, want); err != nil || tok.Version != 3 || !reflect.DeepEqual(b.wanted, want) {
		t.Errorf("UsableToken = %+v, %v, the backend got %+v", tok, err, b.wanted)
	}
	file := control.ImportRequest{Account: "main", Format: "schwab", Force: true, Body: []byte("file"), WrittenAt: time.Unix(1782907200, 0).UTC(), LoginAt: time.Unix(1782900000, 0).UTC()}
	if got, err := c.Import(ctx, file); err != nil || got.Version != 1 {
		t.Errorf("Import = %+v, %v", got, err)
	}
	if !reflect.DeepEqual(b.imported, file) {
		t.Errorf("the backend got %+v", b.imported)
	}
}

func TestCallsAboutWhatIsStoredReachTheBackend(t *testing.T) {
	socket, _, _ := serve(t, &backend{})
	c := control.NewClient(socket)
	ctx := t.Context()
	if all, err := c.Accounts(ctx); err != nil || len(all.Accounts) != 1 || all.Accounts[0].Name != "old" || all.Accounts[0].MayBe[0] != "main" {
		t.Errorf("Accounts = %+v, %v", all, err)
	}
	if got, err := c.RenameAccount(ctx, "old", "main"); err != nil || got.Account != "main" || got.From != "old" {
		t.Errorf("RenameAccount = %+v, %v", got, err)
	}
	var refused *control.Error
	for _, to := range []string{"", "old"} {
		if _, err := c.RenameAccount(ctx, "old", to); !errors.As(err, &refused) || refused.Code != control.CodeBadRequest {
			t.Errorf("RenameAccount to %q: %v", to, err)
		}
	}
	if got, err := c.ForgetAccount(ctx, "old", false); err != nil || got.Account != "old" || got.Version != 4 {
		t.Errorf("ForgetAccount = %+v, %v", got, err)
	}
	if _, err := c.ForgetAccount(ctx, "main", false); !errors.As(err, &refused) || refused.Code != control.CodeConflict {
		t.Errorf("ForgetAccount of one that is configured: %v", err)
	}
}

func TestEveryCallAboutSinksReachesTheBackend(t *testing.T) {
	socket, _, _ := serve(t, &backend{})
	c := control.NewClient(socket)
	ctx := t.Context()
	if s, err := c.Sinks(ctx); err != nil || len(s.Sinks) != 1 || s.Sinks[0].UpToDate != 1 {
		t.Errorf("Sinks = %+v, %v", s, err)
	}
	if a, err := c.SilenceAlert(ctx, "disk_trouble:*", 2*time.Hour); err != nil || a.Key != "disk_trouble:*" || a.Hush.Until.Unix() != 7200 {
		t.Errorf("silence: %+v, %v", a, err)
	}
	if a, err := c.AcknowledgeAlert(ctx, "needs_login:saxo"); err != nil || a.Key != "needs_login:saxo" || a.Hush == nil {
		t.Errorf("acknowledge: %+v, %v", a, err)
	}
	if a, err := c.ResumeAlert(ctx, "needs_login:saxo"); err != nil || a.Hush != nil {
		t.Errorf("resume: %+v, %v", a, err)
	}
	if a, err := c.SilenceAlert(ctx, "disk_trouble:*", 0); err == nil {
		t.Errorf("silenced for no time: %+v", a)
	}
	if a, err := c.Alerts(ctx); err != nil || len(a.Alerts) != 1 || a.Alerts[0].Key != "needs_login:main" {
		t.Errorf("Alerts = %+v, %v", a, err)
	}
	if got, err := c.TestSink(ctx, "bot"); err != nil || got.Done == "" {
		t.Errorf("TestSink = %+v, %v", got, err)
	}
	if _, err := c.TestSink(ctx, "a/b"); err == nil || err.Error() != `there is no sink "a/b"` {
		t.Errorf("TestSink of an unknown sink: %v", err)
	}
	for _, account := range []string{"", "a&b"} {
		if got, err := c.Redeliver(ctx, "bot", account, false); err != nil || got.Account != account || got.Deliveries != 3 {
			t.Errorf("Redeliver(%q) = %+v, %v", account, got, err)
		}
	}
	if got, err := c.DisableSink(ctx, "bot"); err != nil || got.Name != "bot" || got.Disabled == nil {
		t.Errorf("DisableSink = %+v, %v", got, err)
	}
	if got, err := c.EnableSink(ctx, "bot"); err != nil || got.Name != "bot" || got.Disabled != nil {
		t.Errorf("EnableSink = %+v, %v", got, err)
	}
	var refused *control.Error
	if _, err := c.RestartSink(ctx, "bot"); !errors.As(err, &refused) || refused.Code != control.CodeBadRequest {
		t.Errorf("RestartSink: %v", err)
	}
}

func TestErrorsKeepCodeStatusAndText(t *testing.T) {
	socket, _, _ := serve(t, &backend{})
	c := control.NewClient(socket)
	for account, want := range map[string]control.Error{
		"nobody": {Status: 404, Code: control.CodeNotFound, Message: `there is no account "nobody"`},
		"dead":   {Status: 409, Code: control.CodeNeedsLogin, Message: "account dead needs a login"},
		"empty":  {Status: 404, Code: control.CodeNoToken, Message: "account empty has no token yet"},
		"odd":    {Status: 500, Code: control.CodeInternal, Message: "the store is on fire"},
		"a/../b": {Status: 404, Code: control.CodeNotFound, Message: `there is no account "a/../b"`},
	} {
		_, err := c.Token(t.Context(), account)
		var got *control.Error
		if !errors.As(err, &got) || !reflect.DeepEqual(*got, want) {
			t.Errorf("%s: got %#v, want %#v", account, err, want)
		}
	}
}

// overSocket is what curl --unix-socket does.
func overSocket(t *testing.T, socket, method, path string, body io.Reader) *http.Response {
	t.Helper()
	return overSocketWith(t, socket, method, path, "", body)
}

// overSocketWith asks for an answer of a kind.
func overSocketWith(t *testing.T, socket, method, path, accept string, body io.Reader) *http.Response {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}
	req, err := http.NewRequestWithContext(t.Context(), method, "http://localhost"+path, body)
	if err != nil {
		t.Fatal(err)
	}
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func TestOnTheWire(t *testing.T) {
	socket, _, _ := serve(t, &backend{})
	for _, tt := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/v1/accounts/main/token", "", 200, `"access_token":"at-<&>"`},
		{"GET", "/v1/accounts/nobody/token", "", 404, `{"code":"not_found","error":"there is no account \"nobody\""}`},
		{"GET", "/v1/nonsense", "", 404, `"there is no call GET /v1/nonsense in this version of the control API"`},
		{"GET", "/v1/providers/schwab/restart", "", 404, `there is no call GET`},
		{"POST", "/v1/accounts/main/refresh?force=perhaps", "", 400, `force must be true or false, not \"perhaps\"`},
		{"POST", "/v1/sinks/bot/redeliver?account=main&force=1", "", 200, `"deliveries":1`},
		{"POST", "/v1/sinks/bot/redeliver?account=main&force=perhaps", "", 400, `force must be true or false, not \"perhaps\"`},
		{"POST", "/v1/accounts/main/token", "", 200, `"version":3`},
		{"POST", "/v1/accounts/main/token?min_valid=soon", "", 400, `min_valid must be a duration, like 90s, 30m or 2h, not \"soon\"`},
		{"POST", "/v1/accounts/main/token?min_valid=-1s", "", 400, `min_valid must be a duration`},
		{"POST", "/v1/accounts/main/token?if_version=newest", "", 400, `if_version must be the number of a version, not \"newest\"`},
		{"POST", "/v1/accounts/main/token?if_version=3", "", 429, `{"code":"not_yet","error":"account main: not yet","retry_at":"2099-12-31T23:00:00Z"}`},
		{"POST", "/v1/accounts/main/import", strings.Repeat("x", 1<<20), 200, `"version":1`},
		{"POST", "/v1/accounts/main/import", strings.Repeat("x", 1<<20+1), 400, `larger than 1048576 bytes`},
	} {
		resp := overSocket(t, socket, tt.method, tt.path, strings.NewReader(tt.body))
		got, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != tt.status || !strings.Contains(string(got), tt.want) {
			t.Errorf("%s %s: %d %s, want %d with %s", tt.method, tt.path, resp.StatusCode, got, tt.status, tt.want)
		}
		if late := resp.Header.Get("Retry-After"); (late != "") != (tt.status == 429) {
			t.Errorf("%s %s: Retry-After %q", tt.method, tt.path, late)
		}
		if cc := resp.Header.Get("Cache-Control"); cc != "no-store" {
			t.Errorf("%s %s: Cache-Control %q, want no-store", tt.method, tt.path, cc)
		}
	}
}

func TestEventsAreStreamedUntilTheServerStops(t *testing.T) {
	socket, bus, stop := serve(t, &backend{})
	c := control.NewClient(socket)
	got := make(chan event.Event, 10)
	ended := make(chan error, 1)
	started := make(chan struct{})
	go func() {
		ended <- c.Events(t.Context(), func() { close(started) }, func(e event.Event) error { got <- e; return nil })
	}()
	wait(t, started)
	bus.Publish(0, event.Event{Type: event.Refreshed, Account: "main", Version: 4, Message: "new token"})
	if e := wait(t, got); e.Seq != 1 || e.Type != event.Refreshed || e.Version != 4 || e.Time.IsZero() {
		t.Errorf("got %+v", e)
	}
	bus.Publish(0, event.Event{Type: event.Delivered, Message: "there"})
	if e := wait(t, got); e.Seq != 2 {
		t.Errorf("got %+v", e)
	}
	stop()
	if err := wait(t, ended); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("Events ended with %v, want io.ErrUnexpectedEOF", err)
	} else if strings.Contains(err.Error(), "EOF") || !strings.Contains(err.Error(), "follow it again") {
		t.Errorf("a person reads %q", err)
	}
}

func TestASlowReaderSeesAGapAndHoldsNobodyUp(t *testing.T) {
	socket, bus, _ := serve(t, &backend{})
	first, proceed := make(chan struct{}), make(chan struct{})
	var seqs []uint64
	ended := make(chan error, 1)
	done := errors.New("enough")
	started := make(chan struct{})
	go func() {
		ended <- control.NewClient(socket).Events(t.Context(), func() { close(started) }, func(e event.Event) error {
			if len(seqs) == 0 {
				close(first)
				<-proceed
			}
			seqs = append(seqs, e.Seq)
			if e.Message == "last" {
				return done
			}
			return nil
		})
	}()
	wait(t, started)
	bus.Publish(0, event.Event{Message: "first"})
	wait(t, first)
	// More than the socket's buffers and the stream's hold together.
	big := strings.Repeat("x", 64<<10)
	for range 1000 {
		bus.Publish(0, event.Event{Message: big})
	}
	close(proceed)
	// The stream goes on: what is published now arrives, once there is room.
	for {
		bus.Publish(0, event.Event{Message: "last"})
		select {
		case err := <-ended:
			if !errors.Is(err, done) {
				t.Fatal(err)
			}
		case <-time.After(20 * time.Millisecond):
			continue
		}
		break
	}
	gap := false
	for i := 1; i < len(seqs); i++ {
		if seqs[i] <= seqs[i-1] {
			t.Fatalf("seq %d after %d", seqs[i], seqs[i-1])
		}
		gap = gap || seqs[i] > seqs[i-1]+1
	}
	if !gap {
		t.Errorf("%d events of 64 KiB were kept for a reader that did not read", len(seqs))
	}
}

func TestACallersDepartureAndTheShutdownEndACall(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(leave, stop func())
	}{
		{"the caller leaves", func(leave, _ func()) { leave() }},
		{"the server stops", func(_, stop func()) { stop() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := &backend{hold: make(chan struct{}), entered: make(chan struct{}), left: make(chan struct{})}
			socket, _, stop := serve(t, b)
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			ended := make(chan error, 1)
			go func() {
				_, err := control.NewClient(socket).Refresh(ctx, "main", true)
				ended <- err
			}()
			wait(t, b.entered)
			tt.end(leave, stop)
			wait(t, b.left)
			if err := wait(t, ended); err == nil {
				t.Error("the call succeeded")
			}
		})
	}
}

func TestTheClientSaysWhatToDo(t *testing.T) {
	dir := t.TempDir()
	_, err := control.NewClient(dir + "/none.sock").Status(t.Context())
	if !errors.Is(err, control.ErrNotRunning) || !strings.Contains(err.Error(), `on `+dir+`/none.sock: start it with "tokenkeeper run"`) {
		t.Errorf("no socket: %v", err)
	}
	stale := dir + "/stale.sock"
	leaveStale(t, stale)
	if _, err := control.NewClient(stale).Status(t.Context()); !errors.Is(err, control.ErrNotRunning) {
		t.Errorf("stale socket: %v", err)
	}
	other := dir + "/other.sock"
	ln, err := net.Listen("unix", other)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: time.Second}
	go func() { _ = srv.Serve(ln) }()
	t.Cleanup(func() { _ = srv.Close() })
	if _, err := control.NewClient(other).Status(t.Context()); err == nil || !strings.Contains(err.Error(), "no Tokenkeeper supervisor") {
		t.Errorf("another server: %v", err)
	}
}

// A supervisor that dies in mid-call leaves the client with an error of the
// connection, which says nothing to a person.
func TestTheClientSaysThatTheSupervisorEnded(t *testing.T) {
	for name, answer := range map[string]string{
		"before it answered": "",
		"in its headers":     "HTTP/1.1 200 OK\r\nContent-",
		"in its answer":      "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"account\":",
	} {
		t.Run(name, func(t *testing.T) {
			socket := t.TempDir() + "/control.sock"
			ln, err := net.Listen("unix", socket)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = ln.Close() })
			go func() {
				for {
					conn, err := ln.Accept()
					if err != nil {
						return
					}
					_, _ = http.ReadRequest(bufio.NewReader(conn))
					_, _ = io.WriteString(conn, answer)
					_ = conn.Close()
				}
			}()
			_, err = control.NewClient(socket).Refresh(t.Context(), "main", true)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range []string{socket, " ended ", "tokenkeeper status"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			for _, raw := range []string{"EOF", "http://", "Post", "malformed"} {
				if strings.Contains(err.Error(), raw) {
					t.Errorf("%q says %q to a person", err, raw)
				}
			}
		})
	}
}

// wait receives from c, or fails the test at a standstill.
func wait[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-waittest.Late(t):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}
