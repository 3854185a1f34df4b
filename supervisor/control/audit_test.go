package control_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

func TestActsAreAudited(t *testing.T) {
	dir, err := os.MkdirTemp("", "tk-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	ln, err := control.Listen(filepath.Join(dir, "c.sock"), config.Control{})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	stop := serveOn(t, ln, control.NewServer(&backend{}, event.NewBus(log, time.Now), log))
	c := control.NewClient(filepath.Join(dir, "c.sock"))
	_, _ = c.Status(t.Context())
	_, _ = c.Token(t.Context(), "main")
	_, _ = c.UsableToken(t.Context(), control.TokenRequest{Account: "main"})
	_, _ = c.Refresh(t.Context(), "main", true)
	_, _ = c.Import(t.Context(), control.ImportRequest{Account: "main", Body: []byte("CANARY")})
	_, _ = c.CompleteLogin(t.Context(), "main", "https://x/?code=CANARY")
	c.Close()
	stop()
	exe, _ := os.Executable()
	for _, act := range []string{"token", "token/newer", "refresh", "import", "login/complete"} {
		want := fmt.Sprintf("event=audit act=%s uid=%d pid=%d program=%s account=main", act, os.Geteuid(), os.Getpid(), exe)
		if !strings.Contains(out.String(), want) {
			t.Errorf("there is no %q in\n%s", want, out.String())
		}
	}
	if n := strings.Count(out.String(), "event=audit"); n != 5 || strings.Contains(out.String(), "CANARY") || !strings.Contains(out.String(), "force=true") {
		t.Errorf("%d lines:\n%s", n, out.String())
	}
}

// A name that somebody makes up reaches no terminal as he gives it, and has no more room than one.
func TestNamesInActsAreQuoted(t *testing.T) {
	socket, bus, stop := serve(t, &backend{})
	acts := bus.SubscribeAudited(10)
	c := control.NewClient(socket)
	_, _ = c.Refresh(t.Context(), "a\x1b[31m\u202e\n\"b\u009b", true)
	_, _ = c.TestSink(t.Context(), strings.Repeat("a", 5000)+"\x07")
	c.Close()
	stop()
	if e := <-acts.C; e.Account != `a\x1b[31m\u202e\n\"b\u009b` {
		t.Errorf("the account is %s", e.Account)
	}
	if e := <-acts.C; e.Sink != strings.Repeat("a", 100)+"…" {
		t.Errorf("the sink is %s", e.Sink)
	}
}

// A stream that did not ask for the acts has none and no gap because of them:
// its reader, who may fetch a token at each event and at each gap, would never
// come to rest.
func TestActsAreForThoseWhoAskForThem(t *testing.T) {
	socket, bus, stop := serve(t, &backend{})
	c := control.NewClient(socket)
	follow := func(events func(context.Context, func(), func(event.Event) error) error) chan event.Event {
		got, started := make(chan event.Event, 10), make(chan struct{})
		go func() {
			_ = events(t.Context(), func() { close(started) }, func(e event.Event) error { got <- e; return nil })
		}()
		wait(t, started)
		return got
	}
	plain, audited := follow(c.Events), follow(c.EventsAudited)
	observed := 0
	bus.Observe(func(event.Event) { observed++ })
	bus.Publish(0, event.Event{Type: event.Refreshed, Account: "main", Version: 4})
	_, _ = c.Token(t.Context(), "main")
	_, _ = c.Refresh(t.Context(), "main", true)
	bus.Publish(0, event.Event{Type: event.Refreshed, Account: "main", Version: 5})

	for seq := range uint64(2) {
		if e := wait(t, plain); e.Type != event.Refreshed || e.Seq != seq+1 {
			t.Errorf("who did not ask got %+v", e)
		}
	}
	exe, _ := os.Executable()
	who := event.Caller{UID: uint32(os.Geteuid()), PID: int32(os.Getpid()), Program: exe}
	for _, want := range []struct {
		seq uint64
		act *event.Act
	}{
		{1, nil}, {1, &event.Act{Name: "token", Caller: who}}, {2, &event.Act{Name: "refresh", Force: true, Caller: who}}, {2, nil},
	} {
		e := wait(t, audited)
		if e.Seq != want.seq || !reflect.DeepEqual(e.Act, want.act) || e.Account != "main" {
			t.Errorf("who asked got %+v (%+v), want %+v", e, e.Act, want)
		}
	}
	c.Close()
	stop()
	if observed != 2 {
		t.Errorf("the observers were told of %d events, want 2", observed)
	}
}

// A call is told as forced however it says so, as it is taken.
func TestAForcedActIsToldAsForced(t *testing.T) {
	socket, bus, _ := serve(t, &backend{})
	told := bus.SubscribeAudited(10)
	for _, force := range []string{"true", "1", "T", "TRUE", "false", "0", "perhaps"} {
		for _, path := range []string{"/v1/accounts/main/refresh?force=", "/v1/sinks/bot/redeliver?account=main&force="} {
			overSocket(t, socket, "POST", path+force, nil)
			e := wait(t, told.C)
			if want := strings.ContainsAny(force, "tTR1"); e.Act == nil || e.Act.Force != want {
				t.Errorf("%s%s: %+v", path, force, e)
			}
		}
	}
}
