package refresh_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/files/filestest"
	pb "github.com/tokenkeeper/tokenkeeper/sdk/proto/provider/v1"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/account"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/account/lease"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// rig is a Keeper with everything around it in memory, but for the spool,
// which is real files. It lives inside a synctest bubble.
type rig struct {
	t        *testing.T
	broker   *broker
	store    store.Store
	accounts []refresh.Account
	dir      string
	boot     string
	log      *slog.Logger
	bus      *event.Bus
	keeper   *refresh.Keeper
	// elsewhere is what destinations hold, from the next restart on.
	elsewhere func(context.Context, store.Record) refresh.Elsewhere
	// steered judges files of settings, from the next restart on.
	steered func(path string) error
	// left is which account in no configuration has a refresh token, from the next restart on.
	left func(fingerprint string) string
	// loggedIn is told of logins, from the next restart on.
	loggedIn func(context.Context, store.Record)
	// observes: it only looks, from the next restart on.
	observes bool
	// provider serves in the broker's place, from the next start on; nil: none does.
	provider sdk.Provider

	mu      sync.Mutex
	jump    time.Duration // of the wall clock
	slept   time.Duration // what the machine slept: real time that no timer saw
	events  []event.Event
	wakes   []string
	hangs   bool // the process answers no call
	stuck   bool // it can't free a slot
	unnamed bool // it does not name its spool
	alone   bool // it does not say that it can exchange a code beside a refresh
	probes  int
	// begun is when the process says that each attempt in its spool began; zero: as it
	// was.
	begun time.Time
}

func newRig(t *testing.T, lifetime time.Duration, names ...string) *rig {
	return newRigWith(t, lifetime, 0, names...)
}

// noDefect is a log in which the Keeper says of no account that what happened to
// it can't happen.
type noDefect struct{ t *testing.T }

func (noDefect) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelError }
func (d noDefect) WithAttrs([]slog.Attr) slog.Handler         { return d }
func (d noDefect) WithGroup(string) slog.Handler              { return d }
func (d noDefect) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if err, ok := a.Value.Any().(error); ok && (errors.Is(err, account.ErrImpossible) || errors.Is(err, lease.ErrOver)) {
			d.t.Errorf("%s: %v", r.Message, err)
		}
		return true
	})
	return nil
}

// newRigWith is newRig at a broker whose unused refresh tokens die.
func newRigWith(t *testing.T, lifetime, refreshLife time.Duration, names ...string) *rig {
	r := &rig{t: t, broker: newBroker(lifetime), store: store.NewMemory(), dir: filestest.TempDir(t), boot: "boot-1", log: slog.New(noDefect{t})}
	r.broker.wall, r.broker.clock, r.broker.refreshLife = r.wall, r.real, refreshLife
	for _, name := range names {
		r.accounts = append(r.accounts, refresh.Account{
			Account: sdk.Account{Name: name}, Timeout: 30 * time.Second, MaxFailures: 5,
		})
	}
	r.bus = event.NewBus(slog.New(slog.DiscardHandler), r.wall)
	r.restart()
	for _, name := range names {
		if _, err := r.keeper.Import(t.Context(), store.Record{Account: name, Token: r.broker.grant(name)}, false); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// restart makes a new Keeper over the same store, as a new supervisor does.
func (r *rig) restart() {
	k, err := refresh.NewKeeper(r.t.Context(), refresh.Config{
		Provider: "fake", Accounts: r.accounts, Store: r.store, Events: r.bus,
		Log: r.log, Wall: r.wall, MaxInFlight: 4, Boot: r.boot, Up: r.up, Elsewhere: r.elsewhere, Steered: r.steered, LoggedIn: r.loggedIn, Left: r.left, Observes: r.observes,
		Probe: func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.probes++
		},
		Wake: func(a string) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.wakes = append(r.wakes, a)
		},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.keeper = k
}

func (r *rig) wall() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Now().Add(r.slept + r.jump)
}

// real is the time in the world, where the broker lives.
func (r *rig) real() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Now().Add(r.slept)
}

// suspend is a machine that sleeps: the world goes on, timers stand still.
func (r *rig) suspend(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.slept += d
}

// up is how long the machine has been up.
func (r *rig) up() time.Duration { return r.real().Sub(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)) }

func (r *rig) jumpBy(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.jump += d
}

// hanging keeps every call until its caller gives up, while the process hangs.
func (r *rig) hanging(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	r.mu.Lock()
	hangs, stuck := r.hangs, r.stuck && strings.HasSuffix(info.FullMethod, "/Settle")
	r.mu.Unlock()
	if stuck {
		st, err := status.New(codes.Unavailable, "").WithDetails(&pb.Failure{Kind: string(sdk.KindTransient), Message: "its slot can't be freed"})
		if err != nil {
			return nil, err
		}
		return nil, st.Err()
	}
	if hangs {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	answer, err := next(ctx, req)
	r.mu.Lock()
	defer r.mu.Unlock()
	if c, ok := answer.(*pb.UnsettledResponse); ok && r.unnamed {
		c.Spool = ""
	} else if ok && !r.begun.IsZero() {
		for _, e := range c.GetEntries() {
			e.BegunAt = timestamppb.New(r.begun)
		}
	}
	if d, ok := answer.(*pb.DescribeResponse); ok && r.alone {
		d.ExchangeBeside = false
	}
	return answer, err
}

// nameless keeps the name of the provider's spool from us.
func (r *rig) nameless() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unnamed = true
}

func (r *rig) stick(on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stuck = on
}

func (r *rig) hang(on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hangs = on
}

// generation is one run of the provider's process and of the refresh loop.
type generation struct {
	r    *rig
	stop context.CancelFunc
	done chan error
	// remote is the process.
	remote *sdk.Remote
	// kill is SIGKILL: the connection breaks and the spool is let go.
	kill func()
	// cut breaks the connection alone: the process hears its attempt out.
	cut func()
}

func (r *rig) start() *generation {
	r.t.Helper()
	sp, err := spool.Open(r.t.Context(), filepath.Join(r.dir, "spool"), 4)
	if err != nil {
		r.t.Fatal(err)
	}
	var provider sdk.Provider = r.broker
	if r.provider != nil {
		provider = r.provider
	}
	server := sdk.NewServer(provider, func() (*spool.Spool, error) { return sp, nil }, slog.New(slog.DiscardHandler))
	g := grpc.NewServer(grpc.UnaryInterceptor(r.hanging))
	server.Register(g)
	listener := bufconn.Listen(1 << 16)
	go func() { _ = g.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///provider", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	gen := &generation{r: r, stop: cancel, done: make(chan error, 1)}
	gen.cut = func() { _ = conn.Close() }
	var once sync.Once
	gen.kill = func() {
		once.Do(func() {
			_ = conn.Close()
			_ = listener.Close()
			_ = sp.Close()
			go g.Stop()
		})
	}
	keeper, remote := r.keeper, sdk.NewRemote(conn)
	gen.remote = remote
	go func() {
		err := keeper.Run(ctx, remote)
		gen.done <- err
	}()
	return gen
}

// end lets the generation finish, as a restart does, and returns what its
// loop returned.
func (g *generation) end() error {
	g.stop()
	err := <-g.done
	g.kill()
	return err
}

// died waits for the loop to notice that the process was killed.
func (g *generation) died() error {
	err := <-g.done
	g.stop()
	return err
}

func (r *rig) watch() (stop func()) {
	sub := r.bus.Subscribe(4096)
	done, quit := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case e := <-sub.C:
				r.mu.Lock()
				r.events = append(r.events, e)
				r.mu.Unlock()
			case <-quit:
				return
			}
		}
	}()
	return func() { close(quit); <-done; sub.Close() }
}

// count is how often that was told, once everybody who tells is done.
func (r *rig) count(t event.Type) int {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, e := range r.events {
		if e.Type == t {
			n++
		}
	}
	return n
}

// nudged says whether the bus was nudged since the last call.
func (r *rig) nudged() bool {
	select {
	case <-r.bus.Nudged():
		return true
	default:
		return false
	}
}

// met fails the test unless the facts that the Keeper has are of these types.
func (r *rig) met(want ...event.Type) {
	r.t.Helper()
	var kept []event.Type
	for _, f := range r.keeper.Facts() {
		kept = append(kept, f.Type)
		if f.Provider != "fake" || f.What == "" || f.At.Before(f.Since) || f.Since.IsZero() {
			r.t.Errorf("the fact %+v is not whole", f)
		}
	}
	if !slices.Equal(kept, want) {
		r.t.Errorf("the facts are of %v, want %v", kept, want)
	}
}

// woken is how often the sinks were.
func (r *rig) woken() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.wakes)
}

func (r *rig) record(account string) store.Record {
	r.t.Helper()
	rec, err := r.store.Load(r.t.Context(), account)
	if err != nil {
		r.t.Fatal(err)
	}
	return rec
}

func (r *rig) status(account string) refresh.Status {
	r.t.Helper()
	s, ok := r.keeper.Status(account)
	if !ok {
		r.t.Fatalf("no account %s", account)
	}
	return s
}
