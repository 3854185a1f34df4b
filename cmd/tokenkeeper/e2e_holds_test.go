package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// socketBot is a bot on its socket, which answers OK and passes on what it was told.
type socketBot struct {
	net.Listener
	heard chan string
}

func startSocketBot(t *testing.T, path string) socketBot {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	return answering(t, l)
}

// answering lets a bot serve on a socket until it is closed, or the test ends.
func answering(t *testing.T, l net.Listener) socketBot {
	t.Helper()
	b := socketBot{l, make(chan string, 100)}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			buf := make([]byte, 4096)
			n, _ := conn.Read(buf)
			_, _ = conn.Write([]byte("OK"))
			_ = conn.Close()
			b.heard <- string(buf[:n])
		}
	}()
	return b
}

// hears waits for the next message, which must hold the token.
func (b socketBot) hears(t *testing.T, token string) {
	t.Helper()
	select {
	case got := <-b.heard:
		if !strings.Contains(got, token) {
			t.Errorf("the bot was told another token than the newest")
		}
	case <-waittest.Late(t):
		t.Fatal("the bot was told nothing")
	}
}

// A bot that starts anew has nothing, whatever the one before it was given: it gets
// the token without a refresh, also if it started while we were down. One that goes
// on is told nothing twice.
func TestABotThatRestartsGetsTheToken(t *testing.T) {
	t.Parallel()
	skipUnlessRaced(t)
	saxo := startBroker(t, brokersim.Config{Dialect: brokersim.Saxo, AccessLifetime: time.Hour, RefreshLifetime: 2 * time.Hour})
	s := newSite(t, "accounts:\n"+accountYAML(saxoAccount, saxo, saxo.TokenURL(), "before_expiry: 5m")+"sinks:\n  bot: {type: unixsocket, path: bot.sock}\n")
	s.logIn(t, saxo, saxoAccount, format.SaxoCache)
	token := func() string {
		now, _ := saxo.Current(saxoAccount)
		return now.AccessToken
	}
	first := startSocketBot(t, s.path("bot.sock"))
	r := startRun(t, s)
	first.hears(t, token())
	r.newest(saxoAccount)
	_ = first.Close() // which removes the socket
	second := startSocketBot(t, s.path("bot.sock"))
	second.hears(t, token())
	r.newest(saxoAccount)
	r.Stop()
	s.awaitGone(t)

	r = startRun(t, s) // it went on
	r.refreshed(saxoAccount)
	second.hears(t, token())
	r.newest(saxoAccount)
	r.Stop()
	s.awaitGone(t)

	_ = second.Close()
	third := startSocketBot(t, s.path("bot.sock"))
	r = startRun(t, s)
	third.hears(t, token())
	r.newest(saxoAccount)
	if n := len(first.heard) + len(second.heard) + len(third.heard); n > 0 {
		t.Errorf("%d messages more than there were tokens", n)
	}
	mustHavePosted(t, saxo, saxoAccount, 1)
}

// A Redis that was restarted without its data has the token again, without a
// refresh; and so has a folder that was emptied.
func TestWhatADestinationLosesIsGivenBack(t *testing.T) {
	t.Parallel()
	skipUnlessRaced(t)
	mustHave(t, "redis-server", "redis-cli")
	dir, err := os.MkdirTemp("", "tk") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket, program, folder := filepath.Join(dir, "redis.sock"), filepath.Join(dir, "sink"), filepath.Join(dir, "bots")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := goBuild("../tokenkeeper-sink-redis", program); err != nil {
		t.Fatal(err)
	}
	saxo := startBroker(t, brokersim.Config{Dialect: brokersim.Saxo, AccessLifetime: time.Hour, RefreshLifetime: 2 * time.Hour})
	s := newSite(t, "accounts:\n"+accountYAML(saxoAccount, saxo, saxo.TokenURL(), "before_expiry: 5m")+fmt.Sprintf(`sinks:
  cache: {type: redis, command: [%q], settings: {address: %q}}
  bots: {type: file, path: %q}
`, program, socket, filepath.Join(folder, "{account}.json")))
	s.logIn(t, saxo, saxoAccount, format.SaxoCache)
	token := func() string {
		now, _ := saxo.Current(saxoAccount)
		return now.AccessToken
	}
	stored := func() string {
		out, _ := exec.Command("redis-cli", "-s", socket, "GET", "tokenkeeper:"+saxoAccount).Output()
		return string(out)
	}
	kill := startRedis(t, socket)
	r := startRun(t, s)
	r.newest(saxoAccount)
	if !strings.Contains(stored(), token()) {
		t.Fatal("Redis does not hold the token")
	}
	kill()
	startRedis(t, socket)
	if file := filepath.Join(folder, saxoAccount+".json"); os.Remove(file) != nil {
		t.Fatal("there is no file")
	}
	waittest.Until(t, "the token in the file and in Redis", func() bool {
		body, err := os.ReadFile(filepath.Join(folder, saxoAccount+".json"))
		return err == nil && strings.Contains(string(body), token()) && strings.Contains(stored(), token())
	})
	r.newest(saxoAccount)
	r.sinksUntil(func(sinks map[string]control.Sink) bool {
		return sinks["cache"].UpToDate == 1 && sinks["cache"].Deliveries == 2
	})
	mustHavePosted(t, saxo, saxoAccount, 0)
}

// startRedis starts a server that keeps nothing, and returns when it answers.
func startRedis(t *testing.T, socket string) (kill func()) {
	t.Helper()
	server := exec.Command("redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no", "--daemonize", "no")
	server.Stdout, server.Stderr, server.Dir = io.Discard, io.Discard, filepath.Dir(socket)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	done := false
	kill = func() {
		if !done {
			done = true
			_ = server.Process.Kill()
			_ = server.Wait()
		}
	}
	t.Cleanup(kill)
	waittest.Until(t, "an answer of Redis", func() bool { return exec.Command("redis-cli", "-s", socket, "PING").Run() == nil })
	return kill
}
