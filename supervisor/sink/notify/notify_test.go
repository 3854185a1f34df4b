package notify_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/advice"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/notify"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/sinktest"
)

var began = time.Date(2026, 9, 14, 14, 20, 0, 0, time.UTC)

func needsLogin(state event.AlertState) sink.Notice {
	return sink.Notice{ID: "n-" + string(state), Kind: sink.KindAlert, Alert: &event.Alert{
		Key: "needs_login:schwab-main", Type: event.NeedsLogin, State: state, Account: "schwab-main", Provider: "schwab",
		Message: "schwab refused the refresh token.\r\nLog in\x1b[31m with: tokenkeeper login schwab-main", Since: began, ChangedAt: began.Add(3 * time.Hour),
	}}
}

// ntfyServer is a service of the ntfy kind, listening.
func ntfyServer(t *testing.T) (*inbox, string) {
	t.Helper()
	b := newInbox(t)
	host, appear := httpServer(t, b, `{}`)
	appear(t)
	return b, "ntfy://" + host + "/topic?scheme=http"
}

func needing(m advice.Means, state event.AlertState) sink.Notice {
	n := needsLogin(state)
	n.Alert.Affected = []event.Affected{{Account: "schwab-main", Needs: string(m)}}
	return n
}

func TestWhatPeopleRead(t *testing.T) {
	test := needsLogin(event.AlertRaised)
	test.Test = true
	many := needsLogin(event.AlertRaised)
	many.Alert.Message = strings.Repeat("ä", 5000)
	const text = "schwab refused the refresh token. \nLog in [31m with: tokenkeeper login schwab-main\n"
	for name, tt := range map[string]struct {
		notice      sink.Notice
		title, body string
	}{
		"raised":      {needsLogin(event.AlertRaised), "Tokenkeeper: schwab-main needs a login", text + "From trading-vm"},
		"repeated":    {needsLogin(event.AlertRepeated), "Tokenkeeper: schwab-main still needs a login", text + "From trading-vm"},
		"recovered":   {needsLogin(event.AlertRecovered), "Tokenkeeper: schwab-main is logged in again", text + "From trading-vm"},
		"for a file":  {needing(advice.Import, event.AlertRaised), "Tokenkeeper: schwab-main needs another token from a file", text + "From trading-vm"},
		"from a file": {needing(advice.Import, event.AlertRecovered), "Tokenkeeper: schwab-main has a token that works again", text + "From trading-vm"},
		"for a key":   {needing(advice.Key, event.AlertRepeated), "Tokenkeeper: schwab-main still needs a key that the broker takes", text + "From trading-vm"},
		"test":        {test, "Tokenkeeper: a test message", "Somebody asked for this message to see whether it arrives.\n" + text + "From trading-vm"},
		"bare test":   {sink.Notice{ID: "t", Kind: sink.KindAlert, Test: true}, "Tokenkeeper: a test message", "Somebody asked for this message to see whether it arrives.\nNothing is wrong.\nFrom trading-vm"},
		"long":        {many, "Tokenkeeper: schwab-main needs a login", strings.Repeat("ä", 699) + "…\nFrom trading-vm"},
		"of the disk": {sink.Notice{ID: "d", Alert: &event.Alert{Type: event.DiskTrouble, State: event.AlertRaised, Message: "full"}},
			"Tokenkeeper: trouble with the disk", "full\nFrom trading-vm"},
		"of a sink": {sink.Notice{ID: "s", Alert: &event.Alert{Type: event.SinkFailing, State: event.AlertRecovered, Sink: "hook", Account: "a", Message: "fine"}},
			"Tokenkeeper: sink hook works again", "fine\nFrom trading-vm"},
		"of many accounts": {sink.Notice{ID: "g", Alert: &event.Alert{Type: event.RefreshFailing, State: event.AlertRaised, Provider: "schwab", Accounts: 812, Message: "down"}},
			"Tokenkeeper: schwab (812 accounts) can't be refreshed", "down\nFrom trading-vm"},
		"of an unknown type": {sink.Notice{ID: "u", Alert: &event.Alert{Type: "new_kind", State: event.AlertRepeated, Provider: "saxo", Message: "hm"}},
			"Tokenkeeper: new kind lasts: saxo", "hm\nFrom trading-vm"},
		"lifecycle": {sink.Notice{ID: "l", Kind: sink.KindLifecycle, Event: &event.Event{Type: event.ProviderStarted, Provider: "saxo", Message: "it serves"}},
			"Tokenkeeper: provider started: saxo", "it serves\nFrom trading-vm"},
	} {
		t.Run(name, func(t *testing.T) {
			b, url := ntfyServer(t)
			if err := newSink(t, url).Notify(t.Context(), tt.notice); err != nil {
				t.Fatal(err)
			}
			if got, want := b.received(), "POST /topic\n"+tt.title+"\n\n"+tt.body; len(got) != 1 || got[0] != want {
				t.Errorf("arrived:\n%q\nwant\n%q", got, want)
			}
		})
	}
}

func TestEveryAlertHasATitleOfItsOwn(t *testing.T) {
	b, url := ntfyServer(t)
	s, seen := newSink(t, url), map[string]bool{}
	for _, typ := range alertTypes(t) {
		for _, state := range []event.AlertState{event.AlertRaised, event.AlertRepeated, event.AlertRecovered} {
			before := len(b.received())
			if err := s.Notify(t.Context(), sink.Notice{ID: fmt.Sprint(typ, state), Alert: &event.Alert{Type: typ, State: state, Account: "acct", Message: "m"}}); err != nil {
				t.Fatal(err)
			}
			title := strings.Split(b.received()[before], "\n")[1]
			if seen[title] && typ != event.StoreRestored && !sharesItsEnd(typ, state) {
				t.Errorf("%s, %s: the title %q was used before", typ, state, title)
			}
			seen[title] = true
			if strings.Contains(title, "%") || strings.Contains(title, strings.ReplaceAll(string(typ), "_", " ")+" lasts") || len(title) > 70 {
				t.Errorf("%s, %s: %q", typ, state, title)
			}
		}
	}
}

// alertTypes are the types that event.go calls alerts: which of them are forgotten
// here, nobody would notice.
func alertTypes(t *testing.T) (all []event.Type) {
	source, err := os.ReadFile("../../event/event.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`Type = "([a-z_]+)"\s+// .*\balert[:,]`).FindAllSubmatch(source, -1) {
		all = append(all, event.Type(m[1]))
	}
	if len(all) < 25 {
		t.Fatalf("only %d alerts are found: %q", len(all), all)
	}
	return all
}

// sharesItsEnd: a process that runs again neither crashes nor is parked, and of one
// session one trouble may take another's place.
func sharesItsEnd(typ event.Type, state event.AlertState) bool {
	shared := []event.Type{event.ProviderParked, event.SinkParked, event.SessionGone, event.SessionUnheard}
	return state == event.AlertRecovered && slices.Contains(shared, typ)
}

func TestMailHasASubjectAndNoSecret(t *testing.T) {
	host, listen := reserve(t)
	m := &mailServer{inbox: newInbox(t)}
	m.serve(t, listen(t))
	s := newSink(t, "smtp://me:"+secret+"@"+host+"/?from=keeper@example.com&to=you@example.com")
	if err := s.Notify(t.Context(), needsLogin(event.AlertRaised)); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(m.received(), "")
	for _, want := range []string{"Subject: Tokenkeeper: schwab-main needs a login", "tokenkeeper login schwab-main"} {
		if !strings.Contains(got, want) {
			t.Errorf("the mail lacks %q:\n%s", want, got)
		}
	}
	if strings.Contains(got, secret) {
		t.Error("the password is in the mail")
	}
}

// TestMailRefused: each refusal is an error with the server's code, and nothing
// of what the server says along with it.
func TestMailRefused(t *testing.T) {
	for _, at := range []string{"AUTH", "MAIL", "RCPT", "DATA"} {
		t.Run(at, func(t *testing.T) {
			host, listen := reserve(t)
			m := &mailServer{inbox: newInbox(t), refuse: func(command string) string {
				if strings.HasPrefix(command, at) {
					return "550 not with " + secret
				}
				return ""
			}}
			m.serve(t, listen(t))
			err := newSink(t, "smtp://me:"+secret+"@"+host+"/?from=keeper@example.com&to=you@example.com").Notify(t.Context(), needsLogin(event.AlertRaised))
			if err == nil || !strings.Contains(err.Error(), "550") {
				t.Errorf("got %v", err)
			}
			sinktest.AssertNoSecret(t, err)
		})
	}
}

// TestErrorsTellNothingOfTheURL: net/http quotes the URL in its errors, and the
// library does so too.
func TestErrorsTellNothingOfTheURL(t *testing.T) {
	logged := listening(t)
	b := newInbox(t)
	host, appear := httpServer(t, b, "")
	for _, listens := range []bool{false, true} {
		if listens {
			appear(t)
			b.behave(status("403 Forbidden"))
		}
		for _, u := range []string{
			"ntfy://me:" + secret + "@" + host + "/" + secret + "?scheme=http",
			"generic+http://me:" + secret + "@" + host + "/" + secret + "?token=" + secret,
			"generic://" + host + "/" + secret + "?disabletls=yes",
			"gotify://" + host + "/" + secret + "?disabletls=yes",
			"mattermost://" + host + "/" + secret + "?disabletls=yes",
			"rocketchat://" + host + "/" + secret + "/" + secret,
			"matrix://me:" + secret + "@" + host + "/?disableTLS=yes&rooms=" + secret,
			"smtp://me:" + secret + "@" + host + "/?from=" + secret + "@example.com&to=you@example.com&timeout=1s",
			"zulip://me:" + secret + "@" + host + "/?stream=" + secret,
			"signal://me:" + secret + "@" + host + "/+49123456789/+49123456780?disabletls=yes",
			"bark://" + secret + "@" + host + "/?scheme=http",
		} {
			if err := notify.Check(u); err != nil {
				t.Errorf("the test's own URL %s is wrong: %v", u, err)
				continue
			}
			err := newSink(t, u).Notify(t.Context(), needsLogin(event.AlertRaised))
			if err == nil {
				t.Errorf("%s: it was taken", strings.SplitN(u, ":", 2)[0])
			}
			sinktest.AssertNoSecret(t, err)
			if err != nil && strings.Contains(err.Error(), host) {
				t.Errorf("the error tells the host: %v", err)
			}
		}
	}
	if logged.Len() > 0 {
		t.Errorf("the library logged %s", logged)
	}
}

func TestOnlyWhoWasNotToldIsToldAgain(t *testing.T) {
	first, one := ntfyServer(t)
	second, two := ntfyServer(t)
	second.behave(status("503 Service Unavailable"))
	s := newSink(t, one, two)
	n := needsLogin(event.AlertRaised)
	for range 3 {
		err := s.Notify(t.Context(), n)
		if err == nil || !strings.Contains(err.Error(), "1 of 2 were told, but ntfy (URL 2): the service answered 503 Service Unavailable") {
			t.Fatalf("got %v", err)
		}
	}
	second.behave(nil)
	if err := s.Notify(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	if a, b := len(first.received()), len(second.received()); a != 1 || b != 1 {
		t.Errorf("told %d and %d times, want once each", a, b)
	}
	// The next notice goes to both.
	if err := s.Notify(t.Context(), needsLogin(event.AlertRecovered)); err != nil {
		t.Fatal(err)
	}
	if a, b := len(first.received()), len(second.received()); a != 2 || b != 2 {
		t.Errorf("told %d and %d times, want twice each", a, b)
	}
}

func TestBusyServiceIsLeftAlone(t *testing.T) {
	b, url := ntfyServer(t)
	b.behave(status("429 Too Many Requests", "Retry-After: 5"))
	var asked *sink.RetryAfterError
	if err := newSink(t, url).Notify(t.Context(), needsLogin(event.AlertRaised)); !errors.As(err, &asked) || asked.After != time.Minute {
		t.Errorf("got %v", err)
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	b, url := ntfyServer(t)
	elsewhere, there := ntfyServer(t)
	b.behave(status("302 Found", "Location: http"+strings.TrimPrefix(there, "ntfy")))
	if err := newSink(t, url).Notify(t.Context(), needsLogin(event.AlertRaised)); err == nil || !strings.Contains(err.Error(), "redirect") {
		t.Errorf("got %v", err)
	}
	if got := elsewhere.received(); len(got) > 0 {
		t.Errorf("it was followed: %q", got)
	}
}

// TestHungReceiverCostsOneGoroutine: however often it is tried, one message is
// on its way to a receiver that never answers; and one that arrives late is not
// told again.
func TestHungReceiverCostsOneGoroutine(t *testing.T) {
	b := newInbox(t)
	host, appear := httpServer(t, b, "")
	appear(t)
	other, fine := ntfyServer(t)
	s := newSink(t, "generic+http://"+host+"/hook", fine)
	entered, release := make(chan struct{}, 100), make(chan struct{})
	b.behave(func(conn net.Conn, _ http.ResponseWriter) {
		entered <- struct{}{}
		<-release
		b.take("late")
		_, _ = conn.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
	})
	// A slow machine may need more than one try to tell the receiver beside it.
	try := func(id string, told int) (err error) {
		n := needsLogin(event.AlertRaised)
		n.ID = id
		for once := true; once || err != nil && len(other.received()) < told; once = false {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			err = s.Notify(ctx, n)
			cancel()
		}
		return err
	}
	if err := try("first", 1); err == nil || !strings.Contains(err.Error(), "1 of 2 were told") {
		t.Errorf("got %v", err)
	}
	<-entered
	before := runtime.NumGoroutine()
	for i := range 20 {
		if err := try(fmt.Sprint("later ", i), i+2); err == nil {
			t.Error("a notice behind one that hangs was told")
		}
	}
	if len(entered) > 0 {
		t.Errorf("%d more messages were sent to a receiver that hangs", len(entered))
	}
	if err := try("first", 1); err == nil || !strings.Contains(err.Error(), "has been on its way for") {
		t.Errorf("got %v", err)
	}
	if after := runtime.NumGoroutine(); after > before+5 {
		t.Errorf("%d goroutines before 20 tries, %d after", before, after)
	}
	b.mu.Lock()
	b.mode = nil
	b.mu.Unlock()
	close(release)
	n := needsLogin(event.AlertRaised)
	n.ID = "first"
	if err := s.Notify(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	if got := b.received(); len(got) != 1 || got[0] != "late" {
		t.Errorf("arrived %q, want the late one alone", got)
	}
	if got := len(other.received()); got != 21 {
		t.Errorf("the receiver beside it was told %d times of 21 notices", got)
	}
}

func TestTokenIsRefused(t *testing.T) {
	_, url := ntfyServer(t)
	if err := newSink(t, url).Deliver(t.Context(), sinktest.Full("a", 1)); !errors.Is(err, sink.ErrRefused) || !strings.Contains(err.Error(), "never given a token") {
		t.Errorf("got %v", err)
	}
}
