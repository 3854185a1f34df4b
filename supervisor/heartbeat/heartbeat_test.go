package heartbeat_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/heartbeat"
)

// address is a secret as a whole; its host is not.
const address = "https://user:CANARY@ping.example:8443/CANARY-1?key=CANARY"

// world is a service that waits for a heartbeat, and a supervisor that has trouble or
// none. Time is that of synctest.
type world struct {
	*heartbeat.Heartbeat
	ready chan struct{}
	began time.Time

	mu      sync.Mutex
	trouble string
	answer  func(*http.Request) (*http.Response, error)
	got     []string // when, which method and path, and the body
	log     bytes.Buffer
}

func newWorld(t *testing.T, cfg config.Heartbeat) *world {
	t.Helper()
	w := &world{ready: make(chan struct{}), began: time.Now(), answer: answering(http.StatusOK, "OK")}
	cfg.URL = sdk.NewSecret(address)
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Second
	}
	var err error
	w.Heartbeat, err = heartbeat.New(cfg, heartbeat.With{
		Ready:   func() <-chan struct{} { return w.ready },
		Trouble: func(context.Context) string { w.mu.Lock(); defer w.mu.Unlock(); return w.trouble },
		Now:     time.Now, Client: w, Log: slog.New(slog.NewTextHandler(&w.log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func answering(status int, body string) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(body))}, nil
	}
}

// Do implements [heartbeat.Client].
func (w *world) Do(req *http.Request) (*http.Response, error) {
	body := ""
	if req.Body != nil {
		b, _ := io.ReadAll(req.Body)
		body = " " + strings.TrimSpace(string(b))
	}
	w.mu.Lock()
	answer := w.answer
	w.got = append(w.got, time.Since(w.began).String()+" "+req.Method+" "+req.URL.Path+body)
	w.mu.Unlock()
	return answer(req)
}

// has sets what is wrong, and how the service answers (nil: as before).
func (w *world) has(trouble string, answer func(*http.Request) (*http.Response, error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trouble = trouble
	if answer != nil {
		w.answer = answer
	}
}

// gets fails the test unless the service has been asked for that, and nothing else,
// since the last time.
func (w *world) gets(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Equal(w.got, want) {
		t.Errorf("the service got\n%s\nwant\n%s", strings.Join(w.got, "\n"), strings.Join(want, "\n"))
	}
	w.got = nil
}

// logs fails the test unless each of these was logged once since the last time, in this
// order, and nothing else, and no secret in any.
func (w *world) logs(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	lines := slices.DeleteFunc(strings.Split(w.log.String(), "\n"), func(s string) bool { return s == "" })
	w.log.Reset()
	if len(lines) != len(want) {
		t.Errorf("logged:\n%s\nwant %d lines", strings.Join(lines, "\n"), len(want))
		return
	}
	for i, line := range lines {
		if !strings.Contains(line, want[i]) || !strings.Contains(line, "to=ping.example:8443") || strings.Contains(line, "CANARY") {
			t.Errorf("logged %s\nwant %s", line, want[i])
		}
	}
}

func (w *world) is(t *testing.T, state heartbeat.State) heartbeat.Status {
	t.Helper()
	s := w.Status()
	if s.State != state {
		t.Errorf("it is %+v, want %s", s, state)
	}
	return s
}

// run runs it until the test ends.
func (w *world) run(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := w.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
}

func TestPingsWhileAllIsWell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, config.Heartbeat{Every: time.Minute})
		w.run(t)
		time.Sleep(time.Hour)
		w.gets(t) // nobody knows yet how the accounts are
		if s := w.is(t, heartbeat.Waiting); s.To != "ping.example:8443" || s.Every != time.Minute {
			t.Errorf("%+v", s)
		}
		close(w.ready)
		time.Sleep(2*time.Minute + 15*time.Second)
		w.gets(t, "1h0m15s GET /CANARY-1", "1h1m15s GET /CANARY-1", "1h2m15s GET /CANARY-1")
		if s := w.is(t, heartbeat.Beating); !s.LastPing.Equal(time.Now()) {
			t.Errorf("%+v", s)
		}
		w.logs(t)
	})
}

func TestNoPingWhileSomethingIsWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, config.Heartbeat{Every: 10 * time.Minute, OnFailure: config.FailSilent})
		close(w.ready)
		w.run(t)
		time.Sleep(15 * time.Second)
		w.gets(t, "15s GET /CANARY-1")
		w.has("main needs login", nil)
		time.Sleep(time.Hour)
		w.has("main needs login; store away", nil)
		time.Sleep(4 * time.Minute)
		w.gets(t)
		w.logs(t, "no heartbeat is sent before this is over: main needs login")
		if s := w.is(t, heartbeat.Held); s.HeldBack != "main needs login; store away" || s.FailureTold {
			t.Errorf("%+v", s)
		}
		w.has("", nil)
		time.Sleep(10 * time.Minute) // the first comes sooner than after a whole interval
		w.gets(t, "1h5m15s GET /CANARY-1")
		w.logs(t, "the heartbeat goes on")
		w.is(t, heartbeat.Beating)
	})
}

func TestFailureIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, config.Heartbeat{Every: 4 * time.Minute, OnFailure: config.FailTold})
		close(w.ready)
		w.has("main needs login", nil)
		w.run(t)
		time.Sleep(16 * time.Second)
		w.gets(t, "15s POST /CANARY-1/fail main needs login")
		if s := w.is(t, heartbeat.Held); !s.FailureTold || !s.LastPing.IsZero() {
			t.Errorf("%+v", s)
		}
		w.logs(t, "main needs login")
		w.has("", nil)
		time.Sleep(time.Minute)
		w.gets(t, "1m15s GET /CANARY-1")
		if s := w.is(t, heartbeat.Beating); s.FailureTold {
			t.Errorf("%+v", s)
		}
		w.logs(t, "goes on")
	})
}

// What the service does not take is told once, tried again, and told once more when it
// is taken.
func TestServiceThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, config.Heartbeat{Every: 2 * time.Minute, OnFailure: config.FailTold})
		close(w.ready)
		w.has("", answering(http.StatusBadGateway, "CANARY"))
		w.run(t)
		time.Sleep(time.Minute + 16*time.Second)
		w.gets(t, "15s GET /CANARY-1", "45s GET /CANARY-1", "1m15s GET /CANARY-1")
		w.logs(t, "the service answered 502 Bad Gateway")
		if s := w.is(t, heartbeat.Failing); s.Failures != 3 || s.LastError != "the service answered 502 Bad Gateway" {
			t.Errorf("%+v", s)
		}
		w.has("main needs login", nil)
		time.Sleep(30 * time.Second)
		w.gets(t, "1m45s POST /CANARY-1/fail main needs login")
		w.is(t, heartbeat.Failing)
		w.logs(t, "main needs login")
		w.has("", answering(http.StatusNoContent, ""))
		time.Sleep(30 * time.Second)
		w.gets(t, "2m15s GET /CANARY-1")
		w.logs(t, "goes on", "takes what it is sent again")
		if s := w.is(t, heartbeat.Beating); s.Failures != 0 || s.LastError != "" {
			t.Errorf("%+v", s)
		}
	})
}

// A service that takes the request and never answers costs the time of one request, and
// neither the end nor the next ping waits for longer.
func TestServiceThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, config.Heartbeat{Every: time.Minute, Timeout: 5 * time.Second})
		close(w.ready)
		w.has("", func(req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			return nil, errors.New("no answer in time")
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- w.Run(ctx) }()
		time.Sleep(21 * time.Second)
		if s := w.is(t, heartbeat.Failing); s.LastError != "no answer in time" {
			t.Errorf("%+v", s)
		}
		w.logs(t, "no answer in time")
		time.Sleep(10 * time.Second) // the next one is under way
		w.gets(t, "15s GET /CANARY-1", "30s GET /CANARY-1")
		at := time.Now()
		cancel()
		if err := <-ended; err != nil || time.Since(at) > 0 {
			t.Errorf("after %s: %v", time.Since(at), err)
		}
		w.logs(t) // that the stop has cut it off says nothing about the service
	})
}

// A ping as often as that, of which each is refused, does not become a storm.
func TestShortIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, config.Heartbeat{Every: time.Second})
		close(w.ready)
		w.has("", answering(http.StatusNotFound, ""))
		w.run(t)
		time.Sleep(3*time.Second + time.Millisecond)
		w.gets(t, "1s GET /CANARY-1", "2s GET /CANARY-1", "3s GET /CANARY-1")
	})
}
