package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/types"
)

// stuck is a receiver that takes requests and never answers one.
func stuck(t *testing.T) (url string) {
	t.Helper()
	over := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-over }))
	t.Cleanup(func() {
		close(over)
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL
}

// feed is a consumer that is connected to a listening sink for as long as the
// test goes on.
type feed struct {
	mu    sync.Mutex
	lines []string
}

func connectFeed(t *testing.T, path string) *feed {
	t.Helper()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	f := &feed{}
	var reading sync.WaitGroup
	reading.Go(func() {
		for lines := bufio.NewScanner(conn); lines.Scan(); {
			f.mu.Lock()
			f.lines = append(f.lines, lines.Text())
			f.mu.Unlock()
		}
	})
	t.Cleanup(func() {
		_ = conn.Close()
		reading.Wait()
	})
	return f
}

func (f *feed) received() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.lines...)
}

// told is the part of a message that says which version of which account it is,
// in the layouts of the sinks below.
type told struct {
	Account string `json:"account"`
	Version uint64 `json:"version"`
	Data    struct {
		Account string `json:"account"`
		Version uint64 `json:"version"`
	} `json:"data"`
	Type string `json:"type"`
}

// mustNeverGoBack fails the test if an older version came after a newer one.
func mustNeverGoBack(t *testing.T, sink string, messages []string) {
	t.Helper()
	newest := map[string]uint64{}
	for _, m := range messages {
		var x told
		if err := json.Unmarshal([]byte(m), &x); err != nil {
			t.Fatalf("%s got something else than JSON: %v", sink, err)
		}
		if x.Account == "" {
			x.Account, x.Version = x.Data.Account, x.Data.Version
		}
		if x.Version == 0 {
			continue // no token
		}
		if x.Version < newest[x.Account] {
			t.Errorf("%s got version %d of %s after version %d", sink, x.Version, x.Account, newest[x.Account])
		}
		newest[x.Account] = x.Version
	}
	if len(newest) != 4 {
		t.Errorf("%s got tokens of %d accounts, want 4", sink, len(newest))
	}
}

// mustHaveEachType fails the test if a type of sinks that is built in is not in its
// configuration: whoever adds one puts it there.
func mustHaveEachType(t *testing.T, yaml string) {
	t.Helper()
	for _, typ := range types.BuiltIn() {
		if !strings.Contains(yaml, "{type: "+typ.Name()+",") {
			t.Errorf("the configuration of this test has no sink of type %s: add one to it", typ.Name())
		}
	}
}

// Every built-in sink at once, over real files, sockets, processes and signals,
// beside one that hangs and one whose consumer is not there: each that works has
// the newest token of each account, and has never been given an older one after
// a newer one. Alerts go to whoever wants them, once, and once more when they
// are over; a restart tells nobody what he knows.
func TestEverySinkAtOnce(t *testing.T) {
	t.Parallel()
	schwab := startBroker(t, brokersim.Config{Dialect: brokersim.Schwab})
	saxo := startBroker(t, brokersim.Config{Dialect: brokersim.Saxo})
	s := newSite(t, "")
	bot := newConsumer(t, s.path("bot.sock"), "OK")
	receiver, phone := newHook(t), newHook(t)
	var signals atomic.Int64
	signalled := make(chan os.Signal, 64)
	signal.Notify(signalled, unix.SIGUSR2)
	t.Cleanup(func() { signal.Stop(signalled); close(signalled) })
	go func() {
		for range signalled {
			signals.Add(1)
		}
	}()
	write(t, s.path("pid"), fmt.Sprint(os.Getpid()))

	const shared = "include_refresh_token: false"
	phoneHost := strings.TrimPrefix(phone.url, "http://")
	s.configure(t, "accounts:\n"+
		accountYAML("schwab-a", schwab, schwab.TokenURL(), "before_expiry: 5m")+accountYAML("schwab-b", schwab, schwab.TokenURL(), "before_expiry: 5m")+
		accountYAML("saxo-a", saxo, saxo.TokenURL(), "before_expiry: 5m")+accountYAML("saxo-b", saxo, saxo.TokenURL(), "before_expiry: 5m")+`sinks:
  files:   {type: file, path: "out-{account}.json", `+shared+`}
  ini:     {type: file, path: "out-{account}.ini", format: template, template: "token={{.AccessToken}} version={{.Version}}"}
  schwabs: {type: file, path: "raw-{account}", format: raw, providers: [schwab]}
  globbed: {type: file, path: "env-{account}", format: env, accounts: ["*-b"]}
  bot:     {type: unixsocket, path: bot.sock, format: json}
  feed:    {type: unixsocket, path: feed.sock, direction: listen}
  hook:    {type: webhook, url: "`+receiver.url+`", events: [token, alert]}
  command: {type: exec, command: [/bin/sh, -c, "cat > $0/$TOKENKEEPER_ACCOUNT.new && mv $0/$TOKENKEEPER_ACCOUNT.new $0/exec-$TOKENKEEPER_ACCOUNT", "`+s.dir+`"]}
  poke:    {type: exec, signal: {pidfile: pid, signal: USR2}}
  phone:   {type: notify, urls: ["generic://`+phoneHost+`/?disabletls=yes&template=json"]}
  hung:    {type: webhook, url: "`+stuck(t)+`", timeout: 20s, events: [token, alert, lifecycle]}
  nobody:  {type: unixsocket, path: nobody.sock}
`)
	mustHaveEachType(t, string(readFile(t, s.config)))
	brokers := map[string]*brokersim.Server{"schwab-a": schwab, "schwab-b": schwab, "saxo-a": saxo, "saxo-b": saxo}
	layouts := map[string]string{"schwab-a": format.Schwab, "schwab-b": format.Schwab, "saxo-a": format.SaxoCache, "saxo-b": format.SaxoCache}
	for name, sim := range brokers {
		s.logIn(t, sim, name, layouts[name])
	}
	r := startRun(t, s)
	r.until(func(st control.Status) bool { return provider(st, "saxo").PID != 0 && provider(st, "schwab").PID != 0 })
	consumer := connectFeed(t, s.path("feed.sock"))

	const rounds = 6
	for range rounds {
		var all []<-chan error
		for name := range brokers {
			all = append(all, r.forceRefresh(name))
		}
		for _, done := range all {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
	}
	everywhere := []string{"files", "ini", "bot", "feed", "hook", "command", "poke"}
	newest := map[string]uint64{}
	st := r.until(func(control.Status) bool { return true })
	for name := range brokers {
		newest[name] = account(st, name).Version
		if newest[name] != rounds+1 {
			t.Errorf("%s is at version %d after a login and %d refreshes", name, newest[name], rounds)
		}
		for _, sink := range everywhere {
			r.deliveredTo(name, sink, newest[name])
		}
	}
	r.deliveredTo("schwab-a", "schwabs", newest["schwab-a"])
	r.deliveredTo("saxo-b", "globbed", newest["saxo-b"])

	for name, sim := range brokers {
		now, _ := sim.Current(name)
		for _, file := range []string{"out-" + name + ".json", "out-" + name + ".ini", "exec-" + name} {
			if !strings.Contains(string(readFile(t, s.path(file))), now.AccessToken) {
				t.Errorf("%s does not hold the newest token", file)
			}
		}
		for file, want := range map[string]bool{"raw-" + name: sim == schwab, "env-" + name: strings.HasSuffix(name, "-b")} {
			b, err := os.ReadFile(s.path(file))
			if has := err == nil && strings.Contains(string(b), now.AccessToken); has != want {
				t.Errorf("%s holds the newest token: %v, want %v", file, has, want)
			}
		}
	}
	var messages []string
	for _, m := range bot.received() {
		messages = append(messages, string(m))
	}
	mustNeverGoBack(t, "the bot", messages)
	mustNeverGoBack(t, "the feed", consumer.received())
	mustNeverGoBack(t, "the hook", receiver.received())
	if signals.Load() == 0 {
		t.Error("nobody was signalled")
	}

	// Trouble, and its end.
	schwab.Inject(brokersim.InvalidGrant().For("schwab-a"))
	if err := <-r.forceRefresh("schwab-a"); err == nil {
		t.Fatal("a refused refresh succeeded")
	}
	untilTold(t, receiver, "alert.needs_login", "raised")
	untilTold(t, phone, "schwab-a", "login")
	s.logIn(t, schwab, "schwab-a", layouts["schwab-a"])
	untilTold(t, receiver, "alert.needs_login", "recovered")
	r.deliveredTo("schwab-a", "hook", newest["schwab-a"]+1)

	// Whoever has everything is told nothing by a restart.
	before := len(receiver.received())
	r.Stop()
	before += len(receiver.received()) - before
	r = startRun(t, s)
	if err := <-r.forceRefresh("saxo-a"); err != nil {
		t.Fatal(err)
	}
	r.deliveredTo("saxo-a", "hook", newest["saxo-a"]+1)
	if after := receiver.received()[before:]; len(after) != 1 {
		t.Errorf("after a restart the hook got %d messages for one refresh: %s", len(after), after)
	}
	for _, m := range phone.received() {
		for name, sim := range brokers {
			if now, _ := sim.Current(name); strings.Contains(m, now.AccessToken) || strings.Contains(m, now.RefreshToken) {
				t.Errorf("a person was sent a token of %s", name)
			}
		}
	}
}

// untilTold waits until the receiver has a message that holds every word.
func untilTold(t *testing.T, h *hook, words ...string) {
	t.Helper()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for late := waittest.Late(t); ; {
		for _, m := range h.received() {
			if holdsAll(m, words) {
				return
			}
		}
		select {
		case <-look.C:
		case <-late:
			t.Fatalf("nobody was told of %q, only: %s", words, h.received())
		}
	}
}

func holdsAll(message string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(message, w) {
			return false
		}
	}
	return true
}
