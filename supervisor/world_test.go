package supervisor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/sdk/files/filestest"
	"github.com/tokenkeeper/tokenkeeper/sdk/oauth"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/process"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/types"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// world is a supervisor in simulated time, with its brokers and the processes of its
// providers in memory; its configuration, store, spools and sinks are real files. It lives
// inside a synctest bubble.
type world struct {
	*Supervisor
	t   *testing.T
	dir string
	// brokers by provider, whose refresh tokens work once unless the test says otherwise.
	// What is held of one is answered late.
	brokers map[string]*brokersim.Server
	// policy is what their providers say of them.
	policy sdk.Policy
	// checked, if it is set, is called when a reload has prepared what can be, and before
	// anything is ended.
	checked func() error
	// end has it end, which it does by itself with the error breaks if that is set.
	end    func()
	breaks error
	log    bytes.Buffer
	// consumers get what its sinks deliver.
	consumers *consumers

	mu      sync.Mutex
	running map[string]*instance // by provider: its newest process
}

// newWorld starts one, by what with makes of its options. A configuration has no state_dir,
// and names its accounts' providers one and two.
func newWorld(t *testing.T, c *consumers, yaml string, with ...func(*world, *Options)) *world {
	t.Helper()
	return newWorldOf(t, c, yaml,
		brokersim.Config{Dialect: brokersim.Saxo, AccessLifetime: 20 * time.Minute, RefreshLifetime: 24 * time.Hour},
		sdk.Policy{AccessLifetime: 20 * time.Minute, Sliding: true, Rotates: true, BeforeExpiry: 5 * time.Minute}, with...)
}

// newWorldOf is newWorld with such brokers, of which their providers say policy.
func newWorldOf(t *testing.T, c *consumers, yaml string, broker brokersim.Config, policy sdk.Policy, with ...func(*world, *Options)) *world {
	t.Helper()
	w := &world{t: t, dir: filestest.TempDir(t), brokers: map[string]*brokersim.Server{}, policy: policy, consumers: c, running: map[string]*instance{}}
	for _, provider := range []string{"one", "two"} {
		w.brokers[provider] = brokersim.New(broker)
	}
	if err := os.MkdirAll(w.path("disk"), 0o700); err != nil {
		t.Fatal(err)
	}
	w.write(yaml)
	cfg, err := w.load()
	if err != nil {
		t.Fatal(err)
	}
	listener := bufconn.Listen(1 << 10)
	opts := Options{
		Config: cfg, Reread: w.load, Version: "test", Log: slog.New(slog.NewTextHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Check: func(context.Context, *config.Config) error {
			if w.checked == nil {
				return nil
			}
			return w.checked()
		},
		Seams: Seams{
			Launcher: func(provider string) process.Launcher { return inMemory{w, provider} },
			Wall:     time.Now,
			Listen:   func(string) (net.Listener, error) { return listener, nil },
		},
	}
	for _, change := range with {
		change(w, &opts)
	}
	w.Supervisor, err = New(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	w.end = func() {
		if w.breaks == nil {
			cancel()
		}
		if err := <-ended; !errors.Is(err, w.breaks) {
			t.Error(err)
		}
		cancel()
		for _, b := range w.brokers {
			b.Close()
		}
		if t.Failed() {
			t.Logf("the log:\n%s", w.log.String())
		}
	}
	synctest.Wait()
	return w
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

// write replaces the configuration's file.
func (w *world) write(yaml string) {
	w.t.Helper()
	if err := os.WriteFile(w.path("tk.yaml"), []byte("state_dir: disk/state\n"+yaml), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) load() (*config.Config, error) {
	cfg, _, err := config.Load(config.Source{
		Path: w.path("tk.yaml"), Sinks: types.Config(), Comparable: true, Environ: func() []string { return []string{"HOME=" + w.dir} },
	})
	return cfg, err
}

// brokerOf is the broker of an account that is configured.
func (w *world) brokerOf(account string) *brokersim.Server {
	return w.brokers[w.roster.Now().Config.Accounts[account].Provider]
}

// logIn gives an account its first token.
func (w *world) logIn(account string) {
	w.t.Helper()
	k, ok := w.roster.KeeperOf(account)
	if !ok {
		w.t.Fatalf("nobody keeps account %s", account)
	}
	g := w.brokerOf(account).Grant(account)
	if _, err := k.Import(w.t.Context(), store.Record{Account: account, LoginAt: g.IssuedAt, Token: sdk.Token{
		AccessToken: sdk.NewSecret(g.AccessToken), RefreshToken: sdk.NewSecret(g.RefreshToken), IssuedAt: g.IssuedAt, Lifetime: g.ExpiresIn,
	}}, false); err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
}

// version is that of an account's newest token.
func (w *world) version(account string) uint64 {
	w.t.Helper()
	k, ok := w.roster.KeeperOf(account)
	if !ok {
		w.t.Fatalf("nobody keeps account %s", account)
	}
	st, _ := k.Status(account)
	return st.Record.Version
}

// wrong is what must never be: of the brokers, a refresh token that came twice, an answer
// that got lost, or a version that no answer was; of a sink, an older version after a newer
// one.
func (w *world) wrong() (faults []string) {
	for name, c := range w.roster.Now().Config.Accounts {
		b := w.brokers[c.Provider]
		if n := b.Account(name); n.Logins > 0 && uint64(n.Logins+n.Refreshes) != w.version(name) {
			faults = append(faults, fmt.Sprintf("account %s is at version %d after %d logins and %d refreshes", name, w.version(name), n.Logins, n.Refreshes))
		}
	}
	for name, b := range w.brokers {
		for _, account := range slices.Concat(everyAccount(), slices.Collect(maps.Keys(w.roster.Now().Config.Accounts))) {
			if n := b.Account(account); n.Repeats+n.CutReceived+n.CutProcessed > 0 || n.Refreshes != n.Posts {
				faults = append(faults, fmt.Sprintf("broker %s saw of account %s %+v", name, account, n))
			}
		}
		if reused := b.Reused(); len(reused) > 0 {
			faults = append(faults, fmt.Sprintf("broker %s was sent again: %v", name, reused))
		}
	}
	w.consumers.mu.Lock()
	defer w.consumers.mu.Unlock()
	return append(faults, w.consumers.faults...)
}

// holds says what is wrong with what the consumer of a sink got last of an account, which
// should be the newest token; "": nothing.
func (w *world) holds(sink, account string) string {
	w.consumers.mu.Lock()
	has := w.consumers.had[sink+" "+account]
	w.consumers.mu.Unlock()
	newest, _ := w.brokerOf(account).Current(account)
	if has.Access == newest.AccessToken && has.Version == w.version(account) {
		return ""
	}
	return fmt.Sprintf("sink %s has version %d of account %s, which is at version %d; the token is the newest: %t",
		sink, has.Version, account, w.version(account), has.Access == newest.AccessToken)
}

// alerted are the alerts of failed reloads that last.
func (w *world) alerted() (messages []string) {
	w.t.Helper()
	st := w.status()
	for _, a := range st.Alerts {
		if a.Type == event.ReloadFailed && !a.Over() {
			messages = append(messages, a.Message)
		}
	}
	return messages
}

func (w *world) status() control.Status {
	w.t.Helper()
	st, err := w.backend().Status(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return st
}

// inMemory launches the process of a provider of a world.
type inMemory struct {
	world    *world
	provider string
}

func (m inMemory) Launch(ctx context.Context) (process.Instance, error) {
	sp, err := spool.Open(ctx, m.world.path("spool-"+m.provider), 4)
	if err != nil {
		return nil, err
	}
	i := &instance{spool: sp, server: grpc.NewServer(), listener: bufconn.Listen(1 << 16), stops: make(chan bool), exited: make(chan struct{})}
	sim := m.world.brokers[m.provider]
	sdk.NewServer(&refreshing{m.provider, m.world.policy, oauth.Client{Dial: sim.Dial}, sim.TokenURL()}, func() (*spool.Spool, error) { return sp, nil },
		slog.New(slog.DiscardHandler)).Register(i.server)
	go func() { _ = i.server.Serve(i.listener) }()
	i.conn, err = grpc.NewClient("passthrough:///memory", grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithIdleTimeout(0),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return i.listener.DialContext(ctx) }))
	m.world.mu.Lock()
	defer m.world.mu.Unlock()
	m.world.running[m.provider] = i
	return i, err
}

// kill has the process of a provider die, unless a request of it is open, of which nobody
// would hear any more.
func (w *world) kill(provider string) {
	for _, account := range everyAccount() {
		if n := w.brokers[provider].Account(account); n.Open() > 0 {
			return
		}
	}
	w.mu.Lock()
	i := w.running[provider]
	w.mu.Unlock()
	if i != nil {
		i.Kill()
	}
}

// instance is a process in memory.
type instance struct {
	conn     *grpc.ClientConn
	server   *grpc.Server
	listener *bufconn.Listener
	spool    *spool.Spool
	stops    chan bool
	exited   chan struct{}
	once     sync.Once
}

func (i *instance) Conn() grpc.ClientConnInterface { return i.conn }
func (i *instance) PID() int                       { return os.Getpid() }
func (i *instance) Exited() <-chan struct{}        { return i.exited }
func (i *instance) Err() error                     { return nil }
func (i *instance) Stops() <-chan bool             { return i.stops }
func (i *instance) Continue()                      {}
func (i *instance) Kill()                          { i.End(0) }

func (i *instance) End(time.Duration) {
	i.once.Do(func() {
		_ = i.conn.Close()
		i.server.Stop()
		_ = i.spool.Close()
		close(i.exited)
	})
}

// refreshing is the provider of such a broker.
type refreshing struct {
	name   string
	policy sdk.Policy
	http   oauth.Client
	url    string
}

func (p *refreshing) Describe(context.Context) (sdk.Description, error) {
	return sdk.Description{
		Name: p.name, Version: "1", Policy: p.policy,
		Settings: []sdk.Setting{{Name: "region", Description: "Of the broker.", Default: "eu", Server: true}},
	}, nil
}

func (p *refreshing) Refresh(ctx context.Context, req sdk.RefreshRequest) (sdk.Token, error) {
	return p.http.Refresh(ctx, oauth.Endpoint{TokenURL: p.url, AuthStyle: oauth.AuthInHeader}, req)
}

func (*refreshing) MarksSends() {}
