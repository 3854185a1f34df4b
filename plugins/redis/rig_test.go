package redis_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/tokenkeeper/tokenkeeper/plugins/redis"
	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
)

const (
	password = "CANARY-password"
	// canary is in every token and password, and must be in no error.
	canary = "CANARY"
	// patience is for what should happen at once.
	patience = 30 * time.Second
)

// dial asks nobody: who serves a socket of these tests is their own.
func dial(ctx context.Context, path, _ string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "unix", path)
}

// rig is a real Redis server in a directory of its own, and a sink.
type rig struct {
	t        testing.TB
	dir      string
	args     []string
	process  *exec.Cmd
	sink     *redis.Sink
	settings sdk.Settings
	// admin asks the server what it has.
	admin *goredis.Client
}

// start runs a server on a Unix socket with a password. settings are those of
// the sink beyond what leads there.
func start(t testing.TB, settings ...string) *rig { return startWith(t, nil, settings...) }

func startWith(t testing.TB, args []string, settings ...string) *rig {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server is not installed (Debian: apt-get install redis-server)")
	}
	dir, err := os.MkdirTemp("", "tkredis") // short: it leads to a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	r := &rig{t: t, dir: dir, args: args, sink: redis.New(dial)}
	r.run()
	r.admin = goredis.NewClient(&goredis.Options{Network: "unix", Addr: r.socket(), Password: password})
	t.Cleanup(func() { _ = r.admin.Close(); r.kill() })
	r.settings = with(sdk.Settings{}, append([]string{"address", r.socket(), "password", password}, settings...)...)
	return r
}

// with returns s with more settings.
func with(s sdk.Settings, more ...string) sdk.Settings {
	all := sdk.Settings{}
	maps.Copy(all, s)
	for pair := range slices.Chunk(more, 2) {
		all[pair[0]] = sdk.NewSecret(pair[1])
	}
	return all
}

func (r *rig) socket() string { return filepath.Join(r.dir, "redis.sock") }

// run starts the server, or starts it again, and returns when it is ready.
func (r *rig) run() {
	r.t.Helper()
	args := append([]string{"--port", "0", "--unixsocket", r.socket(), "--dir", r.dir, "--requirepass", password,
		"--save", "", "--appendonly", "yes", "--appendfsync", "always", "--daemonize", "no"}, r.args...)
	r.process = exec.Command("redis-server", args...)
	out, err := r.process.StdoutPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	if err := r.process.Start(); err != nil {
		r.t.Fatal(err)
	}
	var said strings.Builder
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		said.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), "accept connections at") || strings.Contains(lines.Text(), "eady to accept connections") {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return
		}
	}
	r.t.Fatalf("redis-server did not start:\n%s", said.String())
}

func (r *rig) kill() {
	_ = r.process.Process.Kill()
	_ = r.process.Wait()
}

// hang stops the server without ending it, until resume.
func (r *rig) hang()   { waittest.Stop(r.t, r.process.Process.Pid) }
func (r *rig) resume() { r.signal(syscall.SIGCONT) }

func (r *rig) signal(s syscall.Signal) {
	r.t.Helper()
	r.must(r.process.Process.Signal(s))
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// do runs a command at the server.
func (r *rig) do(args ...any) {
	r.t.Helper()
	r.must(r.admin.Do(context.Background(), args...).Err())
}

// get is what a key holds; "" if there is none.
func (r *rig) get(key string) string {
	r.t.Helper()
	text, err := r.admin.Get(context.Background(), key).Result()
	if err != nil && err != goredis.Nil {
		r.t.Fatal(err)
	}
	return text
}

// began is when version 0 of every token was issued.
var began = time.Now().Truncate(time.Second)

func content(account string, n uint64) string {
	return fmt.Sprintf(`{"account":%q,"version":%d,"access_token":"%s-%d"}`, account, n, canary, n)
}

// request is version n of an account's token.
func (r *rig) request(account string, n uint64) sdk.DeliverRequest {
	return sdk.DeliverRequest{
		ID: fmt.Sprintf("%s-%d", account, n), Sink: "cache", Settings: r.settings, Account: account, Provider: "saxo", Version: n,
		Token: sdk.Token{
			AccessToken: sdk.NewSecret(fmt.Sprintf("%s-%d", canary, n)),
			IssuedAt:    began.Add(time.Duration(n) * time.Second), Lifetime: 20 * time.Minute,
		},
		Content: sdk.NewSecret(content(account, n)),
	}
}

func (r *rig) send(req sdk.DeliverRequest) error {
	r.t.Helper()
	ctx, cancel := waittest.Context(context.Background(), waittest.Patience)
	defer cancel()
	err := r.sink.Deliver(ctx, req)
	r.free(err)
	return err
}

func (r *rig) deliver(n uint64) error {
	r.t.Helper()
	return r.send(r.request("saxo-live", n))
}

// free fails if err tells a secret.
func (r *rig) free(err error) {
	r.t.Helper()
	if err != nil && strings.Contains(err.Error(), canary) {
		r.t.Errorf("a secret was told: %v", err)
	}
}

// holds checks which version the server has.
func (r *rig) holds(n uint64) {
	r.t.Helper()
	if got, want := r.get("tokenkeeper:saxo-live"), content("saxo-live", n); got != want {
		r.t.Errorf("the key holds %s, want %s", got, want)
	}
}

// quiet fails the test if anything is logged.
func quiet(t *testing.T) {
	before := slog.Default()
	var log strings.Builder
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	t.Cleanup(func() {
		slog.SetDefault(before)
		if log.Len() > 0 {
			t.Errorf("it was said: %s", &log)
		}
	})
}
