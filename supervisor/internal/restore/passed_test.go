package restore

import (
	"context"
	"log/slog"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/roster"
	"github.com/tokenkeeper/tokenkeeper/supervisor/process"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/plugin"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/readback"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store/storetest"
)

// vault is a sink that gives back one document, whoever asks, and its process, which is
// in memory.
type vault struct{ holds sdk.Restored }

func (vault) DescribeSink(context.Context) (sdk.SinkDescription, error) {
	return sdk.SinkDescription{Name: "vault", Version: "test"}, nil
}
func (vault) Deliver(context.Context, sdk.DeliverRequest) error { return nil }
func (v vault) Restore(context.Context, sdk.RestoreRequest) (sdk.Restored, error) {
	return v.holds, nil
}

func (v vault) Launch(context.Context) (process.Instance, error) {
	i := &inMemory{server: grpc.NewServer(), listener: bufconn.Listen(1 << 16), exited: make(chan struct{})}
	sdk.NewSinkServer(v, slog.New(slog.DiscardHandler)).Register(i.server)
	go func() { _ = i.server.Serve(i.listener) }()
	var err error
	i.conn, err = grpc.NewClient("passthrough:///memory", grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithIdleTimeout(0),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return i.listener.DialContext(ctx) }))
	return i, err
}

type inMemory struct {
	conn     *grpc.ClientConn
	server   *grpc.Server
	listener *bufconn.Listener
	exited   chan struct{}
	once     sync.Once
}

func (i *inMemory) Conn() grpc.ClientConnInterface { return i.conn }
func (*inMemory) PID() int                         { return os.Getpid() }
func (i *inMemory) Exited() <-chan struct{}        { return i.exited }
func (*inMemory) Err() error                       { return nil }
func (*inMemory) Stops() <-chan bool               { return nil }
func (*inMemory) Continue()                        {}
func (i *inMemory) Kill()                          { i.End(0) }
func (i *inMemory) End(time.Duration) {
	i.once.Do(func() {
		_ = i.conn.Close()
		i.server.Stop()
		close(i.exited)
	})
}

// A sink that still holds the login of an account of that name, which was forgotten or
// goes on under another name, gives it to no other account that gets the name. What was
// put there afterwards is given back, and everything to a store that was lost, which knows
// of no name.
func TestALoginOfBeforeIsNotGivenBack(t *testing.T) {
	for name, c := range map[string]struct {
		gives    func(ctx context.Context, s *store.Memory) error // the name away
		restored bool
	}{
		"the store is lost": {func(context.Context, *store.Memory) error { return nil }, true},
		"it was forgotten":  {func(ctx context.Context, s *store.Memory) error { return storetest.Forget(ctx, s, "main") }, false},
		"it was renamed": {func(ctx context.Context, s *store.Memory) error {
			return s.Rename(ctx, "main", "other", store.Basis{Version: 1})
		}, false},
		"long ago": {func(ctx context.Context, s *store.Memory) error {
			defer time.Sleep(time.Hour)
			return storetest.Forget(ctx, s, "main")
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				kept := store.NewMemory()
				login := func() sdk.Token {
					return sdk.Token{AccessToken: sdk.NewSecret("a"), RefreshToken: sdk.NewSecret("r"), IssuedAt: time.Now(), Lifetime: time.Hour}
				}
				token := login()
				if name != "the store is lost" {
					if err := kept.Commit(t.Context(), store.Record{Account: "main", Provider: "broker"}.Next(login(), store.OriginLogin, "", time.Now())); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(time.Minute)
				if err := c.gives(t.Context(), kept); err != nil {
					t.Fatal(err)
				}
				if c.restored {
					token = login()
				}
				body, err := format.Encode(format.JSON, format.Document{
					Account: "main", Provider: "broker", AccessToken: token.AccessToken, RefreshToken: token.RefreshToken, IssuedAt: token.IssuedAt, Expiry: token.Expiry(),
				}, format.Options{})
				if err != nil {
					t.Fatal(err)
				}
				k := restoreInto(t, kept, sdk.Restored{Content: sdk.NewSecret(string(body))})
				if s, _ := k.Status("main"); s.Record.Version > 0 != c.restored {
					t.Errorf("it has version %d", s.Record.Version)
				}
			})
		})
	}
}

// restoreInto has a new account asked for at a sink that holds that.
func restoreInto(t *testing.T, kept *store.Memory, holds sdk.Restored) *refresh.Keeper {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	bus := event.NewBus(log, time.Now)
	k, err := refresh.NewKeeper(t.Context(), refresh.Config{
		Provider: "broker", Accounts: []refresh.Account{{Account: sdk.Account{Name: "main"}}}, Store: kept,
		Wake: func(string) {}, Events: bus, Log: log, Wall: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	k.Meet(sdk.Description{})
	p, err := plugin.New(plugin.Config{Name: "safe", Type: "vault", Launcher: vault{holds}, Events: bus})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var ended sync.WaitGroup
	ended.Go(func() { _ = p.Run(ctx) })
	r := roster.New(&config.Config{
		Accounts: map[string]config.Account{"main": {Name: "main", Provider: "broker"}},
		Sinks:    map[string]config.Sink{"safe": {Name: "safe", Type: "vault", Content: config.Content{Format: format.JSON}, Destination: &plugin.Settings{Restore: true}}},
	})
	r.Now().Keepers["broker"], r.Now().Plugins["safe"] = k, p
	restorer := New(Config{Roster: r, Store: kept, Events: bus, Log: log, Wall: time.Now})
	ended.Go(func() { _ = restorer.Run(ctx) })
	time.Sleep(10 * time.Second)
	cancel()
	ended.Wait()
	return k
}

// Nor is it taken before a refresh, or once our own refresh token is refused.
func TestALoginOfBeforeIsNotTaken(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		free, issued, written time.Time
		taken                 bool
	}{
		"the name was never free":  {written: now.Add(-time.Minute), taken: true},
		"written before":           {free: now.Add(-10 * time.Minute), written: now.Add(-11 * time.Minute)},
		"written about then":       {free: now.Add(-10 * time.Minute), written: now.Add(-10*time.Minute + 30*time.Second)},
		"written after":            {free: now.Add(-10 * time.Minute), written: now.Add(-time.Minute), taken: true},
		"issued before, and moved": {free: now.Add(-10 * time.Minute), issued: now.Add(-20 * time.Minute), written: now.Add(-time.Minute)},
		"issued after":             {free: now.Add(-10 * time.Minute), issued: now.Add(-5 * time.Minute), taken: true},
		"nobody knows":             {free: now.Add(-10 * time.Minute)},
	} {
		e := inquirer(&folder{func(readback.Question) (readback.Held, error) {
			return readback.Held{File: "/out/a.json", At: c.written, Document: format.Document{
				AccessToken: sdk.NewSecret("a"), RefreshToken: sdk.NewSecret("theirs"), IssuedAt: c.issued,
			}}, nil
		}})
		e.passed = func(context.Context, string) (time.Time, error) { return c.free, nil }
		rec := recordOf("a")
		rec.Health.NeedsLogin = rec.Token.RefreshToken.Fingerprint()
		if said := e.Ask(t.Context(), rec); (said.Newer != nil) != c.taken {
			t.Errorf("%s: %+v", name, said)
		}
	}
}
