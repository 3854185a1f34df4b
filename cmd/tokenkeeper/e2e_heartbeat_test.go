package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/heartbeat"
	"github.com/tokenkeeper/tokenkeeper/supervisor/verdict"
)

// grace is for how long the service waits for a ping that should come each second.
const grace = 3 * time.Second

// beatService waits for pings, as healthchecks.io does: it is up while they come, and
// down when none has come for a while or a failure was told.
type beatService struct {
	*httptest.Server
	mu     sync.Mutex
	last   time.Time // of a ping that was taken; zero: a failure was told since, or none came
	told   string    // of the last failure
	status int
}

const beatPath = "/" + canaryWord + "-of-the-heartbeat"

func newBeatService(t *testing.T) *beatService {
	t.Helper()
	b := &beatService{status: http.StatusOK}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		b.mu.Lock()
		defer b.mu.Unlock()
		w.WriteHeader(b.status)
		switch {
		case b.status != http.StatusOK:
		case req.Method == http.MethodGet && req.URL.Path == beatPath:
			b.last = time.Now()
		case req.Method == http.MethodPost && req.URL.Path == beatPath+"/fail":
			b.last, b.told = time.Time{}, string(body)
		default:
			t.Errorf("the service got %s %s", req.Method, req.URL)
		}
	}))
	t.Cleanup(b.Close)
	return b
}

func (b *beatService) host() string { return strings.TrimPrefix(b.URL, "http://") }

func (b *beatService) answers(status int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.status = status
}

func (b *beatService) failure() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.told
}

func (b *beatService) up() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Since(b.last) < grace
}

func (b *beatService) goesUp(t *testing.T) {
	t.Helper()
	waittest.Until(t, "a heartbeat", b.up)
}

func (b *beatService) goesDown(t *testing.T) {
	t.Helper()
	waittest.Until(t, "the end of the heartbeat", func() bool { return !b.up() })
}

// beatingSite has one account, which is logged in, and a heartbeat.
func beatingSite(t *testing.T, service *beatService, keys string) (*site, *brokersim.Server) {
	t.Helper()
	sim := startBroker(t, brokersim.Config{Dialect: brokersim.Saxo, AccessLifetime: time.Hour, RefreshLifetime: time.Hour})
	s := newSite(t, "heartbeat: {url: \"${env:BEAT_URL}\", every: 1s"+keys+"}\naccounts:\n"+accountYAML(saxoAccount, sim, sim.TokenURL(), "before_expiry: 5m")+filesYAML)
	s.env = []string{"BEAT_URL=" + service.URL + beatPath}
	s.logIn(t, sim, saxoAccount, format.SaxoCache)
	return s, sim
}

func (r *running) loseLogin(sim *brokersim.Server, account string) {
	r.t.Helper()
	sim.Revoke(account)
	if err := <-r.forceRefresh(account); err == nil {
		r.t.Fatal("the login is revoked, and the refresh went well")
	}
}

func (r *running) heart(state heartbeat.State) heartbeat.Status {
	r.t.Helper()
	return *r.until(func(st control.Status) bool { return st.Heartbeat != nil && st.Heartbeat.State == state }).Heartbeat
}

// A supervisor that is killed, hangs, has ended, or whose account needs a person is missed
// elsewhere, and only then.
func TestHeartbeatIsMissed(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	service := newBeatService(t)
	s, sim := beatingSite(t, service, "")
	r := startRun(t, s)
	service.goesUp(t)
	if h := r.heart(heartbeat.Beating); h.To != service.host() || h.LastPing.IsZero() {
		t.Errorf("%+v", h)
	}
	if got := s.tool(t, "", "status"); !strings.Contains(got.stdout, "\nheartbeat to "+service.host()+" every 1s, the last ") {
		t.Errorf("status: %+v", got)
	}

	r.Kill()
	service.goesDown(t)
	r = startRun(t, s)
	service.goesUp(t)

	process := watchProcess(t, r.PID)
	process.signal(unix.SIGSTOP)
	service.goesDown(t)
	process.signal(unix.SIGCONT)
	service.goesUp(t)

	r.loseLogin(sim, saxoAccount)
	service.goesDown(t)
	if h := r.heart(heartbeat.Held); h.HeldBack != saxoAccount+" needs login" && !strings.HasPrefix(h.HeldBack, saxoAccount+" needs login; ") {
		t.Errorf("%+v", h)
	}
	if got := s.tool(t, "", "status"); !strings.Contains(got.stdout, "\nno heartbeat to "+service.host()+": "+saxoAccount+" needs login") || strings.Contains(got.stdout, canaryWord) {
		t.Errorf("status: %+v", got)
	}
	if got := s.tool(t, "", "status", "--check"); got.code != verdict.Critical {
		t.Errorf("status --check: %+v", got)
	}
	s.logIn(t, sim, saxoAccount, format.SaxoCache)
	service.goesUp(t)

	r.Stop()
	service.goesDown(t)
	if told := service.failure(); told != "" {
		t.Errorf("the service was told %q", told)
	}
	log := r.Stderr()
	if n := strings.Count(log, "no heartbeat is sent before this is over: "+saxoAccount+" needs login"); n != 1 || !strings.Contains(log, "the heartbeat goes on") || strings.Contains(log, canaryWord) {
		t.Errorf("%d times, or not over, or a secret: %s", n, log)
	}
}

// A service that takes nothing harms nobody, and one that takes a failure is told why.
func TestHeartbeatTellsAFailure(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	service := newBeatService(t)
	service.answers(http.StatusNotFound)
	s, sim := beatingSite(t, service, ", on_failure: fail")
	if got := s.tool(t, "", "check"); got.code != exitOK || !strings.Contains(strings.Join(strings.Fields(got.stdout), " "), "whether the heartbeat's service takes it") || strings.Contains(got.stdout, canaryWord) {
		t.Errorf("check: %+v", got)
	}
	r := startRun(t, s)
	if h := r.heart(heartbeat.Failing); !strings.HasPrefix(h.LastError, "the service answered 404 Not Found: ") {
		t.Errorf("%+v", h)
	}
	r.refreshed(saxoAccount)
	r.until(func(st control.Status) bool { return st.Heartbeat.Failures > 1 })
	if got := s.tool(t, "", "status", "--check"); got.code != exitOK { // or it could never end
		t.Errorf("status --check: %+v", got)
	}
	service.answers(http.StatusOK)
	service.goesUp(t)

	r.loseLogin(sim, saxoAccount)
	service.goesDown(t)
	waittest.Until(t, "a failure that is told", func() bool { return strings.HasPrefix(service.failure(), saxoAccount+" needs login") })
	r.until(func(st control.Status) bool { return st.Heartbeat.FailureTold })
	r.Stop()
	log := r.Stderr()
	for _, once := range []string{"the heartbeat's service does not take what it is sent", "takes what it is sent again", "no heartbeat is sent before this is over"} {
		if n := strings.Count(log, once); n != 1 {
			t.Errorf("%q was logged %d times", once, n)
		}
	}
	if strings.Contains(log, canaryWord) || strings.Contains(service.failure(), sim.Config().ClientSecret) {
		t.Errorf("a secret: %s\n%s", service.failure(), log)
	}
}
