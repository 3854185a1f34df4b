package survey

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/alert"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/keepalive"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/roster"
	"github.com/tokenkeeper/tokenkeeper/supervisor/ownership"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

const (
	tokenLife  = 30 * time.Minute
	beforeEnds = 5 * time.Minute
)

// refresher is a broker whose tokens live for half an hour. Some of its answers fail, and
// now and then all for a while.
type refresher struct {
	wall   func() time.Time
	mu     sync.Mutex
	issued int
	down   time.Time // until then
	calm   bool      // it fails no more
}

func (r *refresher) Describe(context.Context) (sdk.Description, error) {
	return sdk.Description{Name: "fake", Version: "1", Policy: sdk.Policy{AccessLifetime: tokenLife, BeforeExpiry: beforeEnds, Sliding: true, RefreshLifetime: 30 * 24 * time.Hour}}, nil
}

func (r *refresher) Refresh(ctx context.Context, _ sdk.RefreshRequest) (sdk.Token, error) {
	r.mu.Lock()
	r.issued++
	n := r.issued
	if n%20 == 10 && !r.calm {
		r.down = time.Now().Add(100 * time.Second)
	}
	down, recently, calm := time.Now().Before(r.down), time.Since(r.down) < 10*time.Minute, r.calm
	r.mu.Unlock()
	time.Sleep(time.Duration(n%9) * time.Second)
	if !calm && (down || n%7 < 3 && !recently) { // three tries in a row, now and then
		return sdk.Token{}, &sdk.Error{Kind: sdk.KindTransient, Message: "HTTP 503"}
	}
	return token(n, r.wall()), nil
}

func token(n int, now time.Time) sdk.Token {
	return sdk.Token{AccessToken: sdk.NewSecret(fmt.Sprint("a-", n)), RefreshToken: sdk.NewSecret("r"), IssuedAt: now, Lifetime: tokenLife}
}

// bot is a destination that takes its time, fails now and then, and is not always there.
type bot struct {
	mu           sync.Mutex
	tries        int
	away, broken bool
}

func (b *bot) Deliver(ctx context.Context, _ sink.Delivery) error {
	b.mu.Lock()
	b.tries++
	n, away, broken := b.tries, b.away, b.broken
	b.mu.Unlock()
	if away {
		return fmt.Errorf("nobody listens: %w", sink.ErrAbsent)
	}
	time.Sleep(time.Duration(n%5) * time.Second)
	if broken || n%6 < 2 {
		return errors.New("it did not answer")
	}
	return nil
}

func (b *bot) set(change func(*bot)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(b)
}

// durable is a store in memory that has no trouble.
type durable struct{ *store.Memory }

func (durable) Fault() error { return nil }

// desk is a supervisor with one account at that broker and two sinks, whose alerts about
// outage budgets are noted. It lives in a bubble.
type desk struct {
	*Survey
	t      *testing.T
	bus    *event.Bus
	keeper *refresh.Keeper
	broker *refresher
	bots   map[string]*bot

	mu    sync.Mutex
	slept time.Duration // the machine
	told  []event.Event
}

func (d *desk) wall() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return time.Now().Add(d.slept)
}

// inBubble has a desk live through test.
func inBubble(t *testing.T, test func(d *desk)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		log, st := slog.New(slog.DiscardHandler), store.NewMemory()
		d := &desk{t: t, broker: &refresher{}, bots: map[string]*bot{"bot": {}, "file": {}}}
		d.broker.wall = d.wall
		d.bus = event.NewBus(log, d.wall)
		d.bus.Observe(func(e event.Event) {
			if e.Type == event.OutageBudget || e.Type == event.Recovered && e.State != "" {
				d.mu.Lock()
				defer d.mu.Unlock()
				d.told = append(d.told, e)
			}
		})
		cfg := &config.Config{Accounts: map[string]config.Account{"main": {
			Name: "main", Provider: "fake", Refresh: config.Refresh{BeforeExpiry: beforeEnds, Timeout: 30 * time.Second, MaxFailures: 20},
		}}}
		r := roster.New(cfg)
		there := r.Now()
		var err error
		d.keeper, err = refresh.NewKeeper(ctx, refresh.Config{
			Provider: "fake", Accounts: []refresh.Account{there.Account(cfg.Accounts["main"])}, Store: st, Events: d.bus, Log: log, Wall: d.wall, MaxInFlight: 4,
			Wake: func(account string) {
				for _, w := range there.Workers {
					w.Wake(account)
				}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		there.Keepers["fake"] = d.keeper
		there.Beats["fake"] = keepalive.New(keepalive.Config{Provider: "fake", Accounts: d.keeper, Events: d.bus, Log: log, Wall: d.wall})
		if _, err := d.keeper.Import(ctx, store.Record{Account: "main", Token: token(0, d.wall())}, false); err != nil {
			t.Fatal(err)
		}
		owner, err := ownership.Recognise(ctx, ownership.Config{Guard: "off", Store: st, Events: d.bus, Log: log})
		if err != nil {
			t.Fatal(err)
		}
		d.Survey = New(Config{Roster: r, Store: durable{st}, Facts: d.bus.NewFacts(), Ownership: owner, Started: time.Now(), Wall: d.wall})
		engine, err := alert.New(ctx, alert.Config{
			Store: st, Policy: alert.Policy{Repeat: 4 * time.Hour}, Snapshot: d.Take, Wake: func(string) {}, Events: d.bus, Log: log,
			Told: func(context.Context, event.Alert) bool { return true },
		})
		if err != nil {
			t.Fatal(err)
		}
		var running sync.WaitGroup
		for name, b := range d.bots {
			w := sink.NewWorker(sink.WorkerConfig{Name: name, Type: "fake", Sink: b, Kinds: []sink.Kind{sink.KindToken}, Store: st, Events: d.bus, Wall: d.wall})
			there.Workers[name] = w
			running.Go(func() { _ = w.Run(ctx) })
		}
		end := d.serve(ctx, &running)
		running.Go(func() { _ = engine.Run(ctx) })
		running.Go(func() { d.watch(ctx) })
		test(d)
		cancel()
		running.Wait()
		end()
	})
}

// serve runs the provider, and the Keeper's loop.
func (d *desk) serve(ctx context.Context, running *sync.WaitGroup) (end func()) {
	sp, err := spool.Open(ctx, filepath.Join(d.t.TempDir(), "spool"), 4)
	if err != nil {
		d.t.Fatal(err)
	}
	g, listener := grpc.NewServer(), bufconn.Listen(1<<16)
	sdk.NewServer(d.broker, func() (*spool.Spool, error) { return sp, nil }, slog.New(slog.DiscardHandler)).Register(g)
	running.Go(func() { _ = g.Serve(listener) })
	conn, err := grpc.NewClient("passthrough:///provider", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		d.t.Fatal(err)
	}
	running.Go(func() {
		_ = d.keeper.Run(ctx, sdk.NewRemote(conn))
		_ = conn.Close()
		g.Stop()
	})
	return func() { _ = sp.Close() }
}

// watch looks around, as the watchdog does.
func (d *desk) watch(ctx context.Context) {
	tick := time.NewTicker(30 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		d.bus.Nudge()
		d.keeper.Look()
	}
}

// alerts are those that began.
func (d *desk) alerts() (begun, over []event.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.told {
		switch {
		case e.Type == event.OutageBudget && e.State == event.AlertRaised:
			begun = append(begun, e)
		case e.State == event.AlertRecovered && e.Account == "main":
			over = append(over, e)
		}
	}
	return begun, over
}

// A day of refreshes that come a few tries late, of deliveries that fail and are slow, of
// a broker that is down for a while, of a consumer that is started anew, and of a machine
// that sleeps, is no alert.
func TestOrdinaryLifeIsNoOutage(t *testing.T) {
	inBubble(t, func(d *desk) {
		for hour := range 24 {
			time.Sleep(40 * time.Minute)
			if hour%5 == 4 {
				d.bots["bot"].set(func(b *bot) { b.away = true })
			}
			time.Sleep(20 * time.Minute)
			d.bots["bot"].set(func(b *bot) { b.away = false })
			if begun, _ := d.alerts(); len(begun) > 0 {
				t.Fatalf("in hour %d: %+v", hour, begun)
			}
		}
		worst, ok := d.Outages().Worst("main", d.wall())
		if !ok || worst < time.Minute || worst > beforeEnds-100*time.Second {
			t.Errorf("at worst %s were left, %t", worst, ok)
		}
		d.broker.mu.Lock()
		d.broker.calm = true
		d.broker.mu.Unlock()
		d.mu.Lock()
		d.slept += 3 * time.Hour
		d.mu.Unlock()
		time.Sleep(30 * time.Minute)
		if begun, _ := d.alerts(); len(begun) > 0 {
			t.Errorf("after a sleep: %+v", begun)
		}
		d.broker.mu.Lock()
		defer d.broker.mu.Unlock()
		if d.broker.issued < 50 {
			t.Errorf("only %d refreshes were asked for: this proves nothing", d.broker.issued)
		}
	})
}

// A sink that lags is an alert shortly before its token is over, which names it, and ends
// when it has the newest.
func TestALaggingSinkIsAnOutage(t *testing.T) {
	inBubble(t, func(d *desk) {
		time.Sleep(time.Hour)
		d.bots["file"].set(func(b *bot) { b.broken = true })
		has := d.cfg.Roster.Now().Workers["file"].Status("main")
		for {
			time.Sleep(10 * time.Second)
			if begun, _ := d.alerts(); len(begun) > 0 {
				break
			}
			if d.wall().After(has.Expiry) {
				t.Fatalf("what the sink has is over since %s, and nobody was told", has.Expiry)
			}
		}
		left := has.Expiry.Sub(d.wall())
		begun, _ := d.alerts()
		if left < 15*time.Second || left > beforeEnds/2 || begun[0].Account != "main" {
			t.Errorf("it was told %s before the end: %+v", left, begun)
		}
		want := "and at least 5m is planned; sink file lacks the newest one; see why with: tokenkeeper sinks; after mending it run: tokenkeeper sinks test file"
		if got := begun[0].Message; len(got) < len(want) || got[len(got)-len(want):] != want {
			t.Errorf("%q", got)
		}
		time.Sleep(20 * time.Minute)
		if worst, _ := d.Outages().Worst("main", d.wall()); worst != 0 {
			t.Errorf("its consumers had no token, and at worst %s were left", worst)
		}
		d.bots["file"].set(func(b *bot) { b.broken = false })
		time.Sleep(5 * time.Minute)
		if begun, over := d.alerts(); len(begun) != 1 || len(over) != 1 {
			t.Errorf("it works again: %+v, %+v", begun, over)
		}
	})
}
