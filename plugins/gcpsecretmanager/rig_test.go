package gcpsecretmanager_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tokenkeeper/tokenkeeper/plugins/gcpsecretmanager"
	"github.com/tokenkeeper/tokenkeeper/plugins/gcpsecretmanager/secretmanagertest"
	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
)

const (
	secret = "tokenkeeper-saxo-live"
	// canary is in every token, and must be in no error and no log line.
	canary = "CANARY"
)

// began is when the first version of every token was issued.
var began = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// rig is the service and a sink that speaks to it over a socket.
type rig struct {
	*secretmanagertest.Server
	t        testing.TB
	sink     *gcpsecretmanager.Sink
	settings sdk.Settings
	address  string
	stop     func()
	log      *lines
}

func start(t testing.TB, settings ...string) *rig {
	t.Helper()
	r := &rig{t: t, Server: secretmanagertest.New(), log: &lines{}}
	// On an address of this process: where it stops and listens again, nobody else has
	// been given the port meanwhile.
	pid := os.Getpid()
	r.listen(fmt.Sprintf("127.%d.%d.%d:0", 64+pid>>16&63, pid>>8&255, pid&255))
	t.Cleanup(func() { r.stop() })
	r.settings = sdk.Settings{}
	for i := range slices.Chunk(append([]string{
		"project", secretmanagertest.Project, "endpoint", r.address, "insecure", "true",
	}, settings...), 2) {
		r.settings[i[0]] = sdk.NewSecret(i[1])
	}
	r.restart()
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(r.log, nil)))
	t.Cleanup(func() {
		slog.SetDefault(before)
		r.free(r.log.String())
	})
	return r
}

// listen starts the service, or starts it again.
func (r *rig) listen(address string) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		r.t.Fatal(err)
	}
	r.address, r.stop = l.Addr().String(), r.Serve(l)
}

// restart is a new process of the sink.
func (r *rig) restart() {
	r.sink = gcpsecretmanager.New()
	r.t.Cleanup(func() { _ = r.sink.Close() })
}

// free fails if text holds anything of a token.
func (r *rig) free(text string) {
	r.t.Helper()
	if strings.Contains(text, canary) {
		r.t.Errorf("a secret was told: %s", text)
	}
}

// request is version n of an account's token in Tokenkeeper's own layout.
func (r *rig) request(account string, n uint64) sdk.DeliverRequest {
	issued := began.Add(time.Duration(n) * 20 * time.Minute)
	req := sdk.DeliverRequest{
		ID: fmt.Sprintf("%s-%d", account, n), Sink: "gcp", Settings: r.settings,
		Account: account, Provider: "saxo", Version: n,
		Token: sdk.Token{AccessToken: sdk.NewSecret(access(account, n)), IssuedAt: issued, Lifetime: 20 * time.Minute},
	}
	req.Content = sdk.NewSecret(fmt.Sprintf(`{"account":%q,"provider":"saxo","version":%d,"access_token":%q,"issued_at":%q,"expires_at":%d}`,
		account, n, access(account, n), issued.Format(time.RFC3339), issued.Add(20*time.Minute).Unix()))
	return req
}

func access(account string, n uint64) string { return fmt.Sprintf("%s-%s-%d", canary, account, n) }

func (r *rig) send(req sdk.DeliverRequest) error {
	r.t.Helper()
	ctx, cancel := waittest.Context(context.Background(), waittest.Patience)
	defer cancel()
	err := r.sink.Deliver(ctx, req)
	if err != nil {
		r.free(err.Error())
	}
	return err
}

func (r *rig) deliver(n uint64) error {
	r.t.Helper()
	return r.send(r.request("saxo-live", n))
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// newest is the payload of the newest version, whatever its state.
func (r *rig) newest() string {
	r.t.Helper()
	all := r.Versions(secret)
	if len(all) == 0 {
		r.t.Fatal("the secret has no version")
	}
	return all[len(all)-1].Payload
}

// enabled checks which versions cost money.
func (r *rig) enabled(want ...int) {
	r.t.Helper()
	if got := r.Enabled(secret); !slices.Equal(got, want) {
		r.t.Errorf("enabled versions are %v, want %v", got, want)
	}
}

// fail lets every call of a method fail, with a text that tells too much.
func fail(method string, code codes.Code) func(context.Context, string) error {
	return func(_ context.Context, m string) error {
		if m != method {
			return nil
		}
		return status.Errorf(code, "the request was %s-in-an-error", canary)
	}
}

// once lets f through the first time that the method is called, and does
// nothing later.
func once(method string, f func()) func(context.Context, string) error {
	var do sync.Once
	return func(_ context.Context, m string) error {
		if m == method {
			do.Do(f)
		}
		return nil
	}
}

// hang lets every call of a method wait for its caller to go.
func hang(method string) func(context.Context, string) error {
	return func(ctx context.Context, m string) error {
		if m == method {
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}
}

// lines is a log that may be written and read at once.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// before does f whenever the method is called.
func before(method string, f func()) func(context.Context, string) error {
	return func(_ context.Context, m string) error {
		if m == method {
			f()
		}
		return nil
	}
}
