package process

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// rig is a member over processes in memory: the real wire contract over
// bufconn, in a bubble of simulated time.
type rig struct {
	t        *testing.T
	member   *Member
	kind     Kind
	health   HealthPolicy
	launcher *memLauncher
	work     *memWork
	bus      *event.Bus
	events   *event.Subscription
	wall     atomic.Int64 // by how many ns the wall clock was set ahead
	stop     context.CancelFunc
	done     chan struct{}
}

// simulate runs test in a bubble with a started member.
func simulate(t *testing.T, test func(t *testing.T, r *rig), prepare ...func(*rig)) {
	synctest.Test(t, func(t *testing.T) {
		bus := event.NewBus(slog.New(slog.DiscardHandler), time.Now)
		r := &rig{
			t: t, launcher: &memLauncher{name: "fake"}, work: &memWork{}, bus: bus, events: bus.Subscribe(1000),
			done: make(chan struct{}),
		}
		for _, p := range prepare {
			p(r)
		}
		now := func() time.Time { return time.Now().Add(time.Duration(r.wall.Load())) }
		r.member = New(Config{Name: "fake", Kind: r.kind, Launcher: r.launcher, Work: Refreshing(r.work), Health: r.health, Events: bus, Now: now})
		ctx, stop := context.WithCancel(t.Context())
		r.stop = stop
		go func() {
			defer close(r.done)
			_ = r.member.Run(ctx)
		}()
		test(t, r)
		stop()
		<-r.done
		r.launcher.closeAll()
	})
}

// after lets simulated time pass and everything that follows from it happen.
func (r *rig) after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (r *rig) state(want State) {
	r.t.Helper()
	if s := r.member.Status(); s.State != want {
		r.t.Fatalf("state %s, want %s (last error: %s)", s.State, want, s.LastError)
	}
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

// told drains the events and counts them by type.
func (r *rig) told() map[event.Type]int {
	n := map[event.Type]int{}
	for {
		select {
		case e := <-r.events.C:
			n[e.Type]++
		default:
			return n
		}
	}
}

// memLauncher makes processes in memory.
type memLauncher struct {
	name string // that the provider says

	mu       sync.Mutex
	err      error // of the next launches
	launched []*memInstance
	times    []time.Time
}

func (l *memLauncher) Launch(context.Context) (Instance, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.times = append(l.times, time.Now())
	if l.err != nil {
		return nil, l.err
	}
	in := newMemInstance(1000+len(l.launched), l.name)
	l.launched = append(l.launched, in)
	return in, nil
}

func (l *memLauncher) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

// newest is the last process that was launched.
func (l *memLauncher) newest() *memInstance {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.launched[len(l.launched)-1]
}

func (l *memLauncher) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.launched)
}

// waits are the times between the launches.
func (l *memLauncher) waits() (waits []time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := 1; i < len(l.times); i++ {
		waits = append(waits, l.times[i].Sub(l.times[i-1]))
	}
	return waits
}

func (l *memLauncher) closeAll() {
	for _, in := range l.launched {
		in.exit(nil)
	}
}

type memInstance struct {
	pid    int
	server *grpc.Server
	conn   *grpc.ClientConn
	stops  chan bool
	exited chan struct{}
	once   sync.Once

	mu        sync.Mutex
	err       error
	silent    bool
	continued []time.Time
	killedAt  time.Time
	ended     bool
	grace     time.Duration // with which it was ended
}

func newMemInstance(pid int, name string) *memInstance {
	in := &memInstance{pid: pid, stops: make(chan bool, 1), exited: make(chan struct{})}
	in.server = grpc.NewServer(grpc.UnaryInterceptor(
		func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
			in.mu.Lock()
			silent := in.silent
			in.mu.Unlock()
			if silent {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return h(ctx, req)
		}))
	noSpool := func() (*spool.Spool, error) { return nil, errors.New("no spool") }
	sdk.NewServer(memProvider{name}, noSpool, slog.New(slog.DiscardHandler)).Register(in.server)
	listener := bufconn.Listen(64 << 10)
	go func() { _ = in.server.Serve(listener) }()
	in.conn, _ = grpc.NewClient("passthrough:memory",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	return in
}

func (in *memInstance) Conn() grpc.ClientConnInterface { return in.conn }
func (in *memInstance) PID() int                       { return in.pid }
func (in *memInstance) Exited() <-chan struct{}        { return in.exited }
func (in *memInstance) Stops() <-chan bool             { return in.stops }

func (in *memInstance) Err() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.err
}

func (in *memInstance) Continue() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.continued = append(in.continued, time.Now())
}

func (in *memInstance) Kill() {
	in.mu.Lock()
	in.killedAt = time.Now()
	in.mu.Unlock()
	in.exit(errors.New("killed"))
}

func (in *memInstance) End(grace time.Duration) {
	in.mu.Lock()
	in.ended, in.grace = true, grace
	in.mu.Unlock()
	in.exit(errors.New("ended"))
}

// exit is the end of the process.
func (in *memInstance) exit(err error) {
	in.once.Do(func() {
		in.mu.Lock()
		in.err = err
		in.mu.Unlock()
		close(in.exited)
		go func() {
			_ = in.conn.Close()
			in.server.Stop()
		}()
	})
}

func (in *memInstance) hang() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.silent = true
}

func (in *memInstance) killed() time.Time {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.killedAt
}

func (in *memInstance) continues() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return len(in.continued)
}

type memProvider struct{ name string }

func (p memProvider) Describe(context.Context) (sdk.Description, error) {
	return sdk.Description{Name: p.name, Version: "v1"}, nil
}

func (memProvider) Refresh(context.Context, sdk.RefreshRequest) (sdk.Token, error) {
	return sdk.Token{}, sdk.ErrNotSent
}

// memWork is a refresh loop with attempts of any length.
type memWork struct {
	mu       sync.Mutex
	inFlight int
	deadline time.Time
	latest   time.Time     // deadline of all attempts
	landed   chan struct{} // closed when nothing is in flight
	lost     chan struct{} // closed when the connection is; nil: it stays
	runs     int
	panics   bool
	lander   func()
}

// land ends the attempt in flight, if there is one.
func (w *memWork) land() {
	w.mu.Lock()
	land := w.lander
	w.mu.Unlock()
	if land != nil {
		land()
	}
}

func (w *memWork) Run(ctx context.Context, r *sdk.Remote) error {
	w.mu.Lock()
	w.runs++
	panics, lost := w.panics, w.lost
	w.lost = nil // the next generation has a new one
	w.mu.Unlock()
	if panics {
		panic(sdk.NewSecret("a token"))
	}
	select {
	case <-ctx.Done():
	case <-lost:
		return sdk.ErrConnection
	}
	w.mu.Lock()
	landed := w.landed
	w.mu.Unlock()
	if landed != nil {
		<-landed
	}
	return nil
}

// attempt begins one that lasts until the returned function is called.
func (w *memWork) attempt(deadline time.Duration) (land func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	landed := make(chan struct{})
	w.inFlight, w.deadline, w.landed = 1, time.Now().Add(deadline), landed
	w.latest = w.deadline
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.inFlight == 0 {
			return
		}
		w.inFlight, w.deadline, w.landed = 0, time.Time{}, nil
		close(landed)
	}
}

// calls has the attempt in flight call only now.
func (w *memWork) calls(deadline time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deadline = time.Now().Add(deadline)
	w.latest = w.deadline
}

func (w *memWork) InFlight() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.inFlight
}

func (w *memWork) Latest() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.latest
}

func (w *memWork) Deadline() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.deadline
}
