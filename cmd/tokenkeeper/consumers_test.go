package main

import (
	"fmt"
	"hash/fnv"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// TestConsumers runs each example of a consumer against a supervisor, as its
// README says: it has each new token, also after a restart of the supervisor,
// the broker's API takes it, and nothing that it prints holds a token.
func TestConsumers(t *testing.T) {
	for _, tt := range []struct {
		name string
		// needs are programs; without them the example is skipped.
		needs []string
		// sink is of the account; "": none is needed.
		sink string
		// start returns the command, which is in its folder.
		start func(t *testing.T, s *site, api string) *exec.Cmd
		// shows says that the consumer has the token; nil: it calls the API.
		shows func(accessToken string) string
	}{
		{
			name: "go", start: func(t *testing.T, s *site, api string) *exec.Cmd {
				binary := s.path("consumer")
				if err := goBuild(example("consumer-go"), binary); err != nil {
					t.Fatal(err)
				}
				return exec.Command(binary, s.path("state/control.sock"), saxoAccount, api)
			},
		},
		{
			name: "python, control API", needs: []string{"python3"},
			start: func(_ *testing.T, s *site, api string) *exec.Cmd {
				return exec.Command("python3", example("consumer-python/control_api.py"), s.path("state/control.sock"), saxoAccount, api)
			},
		},
		{
			name: "python, socket", needs: []string{"python3"}, sink: "{type: unixsocket, path: bot.sock}",
			start: func(_ *testing.T, s *site, api string) *exec.Cmd {
				return exec.Command("python3", example("consumer-python/receive_socket.py"), s.path("bot.sock"), api)
			},
		},
		{
			name: "shell", needs: []string{"sh", "curl", "sed"},
			start: func(_ *testing.T, s *site, api string) *exec.Cmd {
				return exec.Command("sh", example("consumer-shell/consumer.sh"), s.path("state/control.sock"), saxoAccount, api)
			},
		},
		{
			name: "c++", needs: []string{"c++"}, sink: "{type: unixsocket, path: bot.sock}",
			start: func(t *testing.T, s *site, _ string) *exec.Cmd {
				binary := s.path("consumer")
				build := exec.Command("c++", "-std=c++17", "-Wall", "-Wextra", "-Werror", "-o", binary, example("consumer-cpp/consumer.cpp"))
				if out, err := build.CombinedOutput(); err != nil {
					t.Fatalf("c++: %v\n%s", err, out)
				}
				return exec.Command(binary, s.path("bot.sock"))
			},
			shows: func(accessToken string) string {
				h := fnv.New32a()
				_, _ = h.Write([]byte(accessToken))
				return fmt.Sprintf("token %08x until ", h.Sum32())
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			mustHave(t, tt.needs...)
			saxo := startBroker(t, brokersim.Config{Dialect: brokersim.Saxo, AccessLifetime: time.Hour, RefreshLifetime: 2 * time.Hour})
			yaml := "accounts:\n" + accountYAML(saxoAccount, saxo, saxo.TokenURL(), "before_expiry: 5m")
			if tt.sink != "" {
				yaml += "sinks:\n  bot: " + tt.sink + "\n"
			}
			s, api := newSite(t, yaml), newAPI(t, saxo)
			out := begin(t, tt.start(t, s, api.URL))
			has := func(when string) {
				t.Helper()
				now, ok := saxo.Current(saxoAccount)
				if !ok {
					t.Fatal("the broker knows of no login")
				}
				if tt.shows == nil {
					api.until(t, when, now.AccessToken)
				} else {
					out.until(t, func(s string) bool { return strings.Contains(s, tt.shows(now.AccessToken)) })
				}
			}

			r := startRun(t, s)
			s.logIn(t, saxo, saxoAccount, format.SaxoCache)
			has("after the login")
			r.until(func(st control.Status) bool { return provider(st, "saxo").State == control.ProviderRunning })
			r.refreshed(saxoAccount)
			has("after a refresh")
			r.Stop()
			r = startRun(t, s)
			r.until(func(st control.Status) bool { return provider(st, "saxo").State == control.ProviderRunning })
			r.refreshed(saxoAccount)
			has("after a restart")

			if tt.shows == nil {
				out.until(t, func(s string) bool { return strings.Count(s, "the API answers 200") >= 3 })
			}
			api.mustKeepSecret(t, out.String())
		})
	}
}

// TestConsumerOfASharedFile: the reader in Python waits for the lock of those
// who write, and gets what they wrote.
func TestConsumerOfASharedFile(t *testing.T) {
	t.Parallel()
	mustHave(t, "python3")
	saxo := startBroker(t, brokersim.Config{Dialect: brokersim.Saxo, AccessLifetime: time.Hour, RefreshLifetime: 2 * time.Hour})
	s := newSite(t, "accounts:\n"+accountYAML(saxoAccount, saxo, saxo.TokenURL(), "before_expiry: 5m")+
		"    shared_file: {path: saxo.json, format: saxo-cache}\n")
	api := newAPI(t, saxo)
	r := startRun(t, s)
	s.logIn(t, saxo, saxoAccount, format.SaxoCache)
	r.until(func(st control.Status) bool { return provider(st, "saxo").State == control.ProviderRunning })
	r.refreshed(saxoAccount)

	file := s.path("saxo.json")
	lock, err := os.Open(file + ".lock")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Close() }()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	// A program that writes without care: a reader that does not wait finds
	// this.
	whole := readFile(t, file)
	write(t, file, "half a fi")
	out := begin(t, exec.Command("python3", example("consumer-python/read_shared_file.py"), file, api.URL))
	awaitBlocked(t, file+".lock")
	write(t, file, string(whole))
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_UN); err != nil {
		t.Fatal(err)
	}
	now, _ := saxo.Current(saxoAccount)
	api.until(t, "once the lock is free", now.AccessToken)
	out.until(t, func(s string) bool { return strings.Contains(s, "the API answers 200") })
	api.mustKeepSecret(t, out.String())
}

// awaitBlocked waits until a process waits for the flock on path, which the
// kernel tells in /proc/locks.
func awaitBlocked(t *testing.T, path string) {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	inode := fmt.Sprintf(":%d ", st.Ino)
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	late := waittest.Late(t)
	for {
		locks, err := os.ReadFile("/proc/locks")
		if err != nil {
			t.Skip("this system does not tell who waits for a lock: ", err)
		}
		for line := range strings.Lines(string(locks)) {
			if strings.Contains(line, "->") && strings.Contains(line, inode) {
				return
			}
		}
		select {
		case <-look.C:
		case <-late:
			t.Fatalf("nobody waits for the lock:\n%s", locks)
		}
	}
}

func example(name string) string { return filepath.Join(repository, "examples", name) }

func mustHave(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("there is no %s here to run the example with", p)
		}
	}
}

// begin starts a consumer, in a process group of its own because a shell has
// children, and ends it with the test. What it prints is on the output.
func begin(t *testing.T, cmd *exec.Cmd) *awaited {
	t.Helper()
	out := newAwaited()
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("the consumer printed:\n%s", out.String())
		}
	})
	return out
}

// brokerAPI is the broker's API, which remembers what it was called with.
type brokerAPI struct {
	*httptest.Server
	mu   sync.Mutex
	used map[string]bool
	more chan struct{}
}

func newAPI(t *testing.T, sim *brokersim.Server) *brokerAPI {
	t.Helper()
	a := &brokerAPI{used: map[string]bool{}, more: make(chan struct{}, 1)}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !sim.AccessValid(token) {
			w.WriteHeader(http.StatusUnauthorized)
		}
		a.mu.Lock()
		a.used[token] = true
		a.mu.Unlock()
		select {
		case a.more <- struct{}{}:
		default:
		}
	}))
	t.Cleanup(a.Close)
	return a
}

// until waits until the API was called with that token.
func (a *brokerAPI) until(t *testing.T, when, token string) {
	t.Helper()
	late := waittest.Late(t)
	for {
		a.mu.Lock()
		used := a.used[token]
		a.mu.Unlock()
		if used {
			return
		}
		select {
		case <-a.more:
		case <-late:
			t.Fatalf("%s: the API was not called with the newest token", when)
		}
	}
}

// mustKeepSecret fails the test if a token that was used was also printed.
func (a *brokerAPI) mustKeepSecret(t *testing.T, printed string) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	for token := range a.used {
		if token != "" && strings.Contains(printed, token) {
			t.Error("the consumer prints its token")
		}
	}
}
