package plugin

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/sinktest/folder"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/process"
)

// TestMain lets this binary also be the processes that the tests start.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "sink":
			sdk.ServeSink(folder.Sink{})
			os.Exit(0)
		case "plain":
			sdk.ServeSink(plain{})
			os.Exit(0)
		case "provider":
			sdk.Serve(tinyProvider{})
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

// plain implements nothing but what a sink must.
type plain struct{}

func (plain) DescribeSink(context.Context) (sdk.SinkDescription, error) {
	return sdk.SinkDescription{Name: "plain", Version: "test", Settings: []sdk.Setting{{Name: "authorities", Steers: true}, {Name: "target"}}}, nil
}

func (plain) Deliver(context.Context, sdk.DeliverRequest) error { return nil }

type tinyProvider struct{}

func (tinyProvider) Describe(context.Context) (sdk.Description, error) {
	return sdk.Description{Name: "tiny", Version: "test"}, nil
}

func (tinyProvider) Refresh(context.Context, sdk.RefreshRequest) (sdk.Token, error) {
	return sdk.Token{}, sdk.ErrNotSent
}

// rig is one sink over a real process.
type rig struct {
	*Sink
	dir    string
	events *event.Subscription
	log    *logBuffer
}

type logBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// start runs a sink called "tested" whose process is this binary, in the part
// that args name.
func start(t *testing.T, typ string, change func(*Config), args ...string) *rig {
	t.Helper()
	r := &rig{dir: t.TempDir(), log: &logBuffer{}}
	log := slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	bus := event.NewBus(log, time.Now)
	r.events = bus.Subscribe(1000)
	cfg := Config{
		Name: "tested", Type: typ, Events: bus, Log: log,
		Command:  &process.Command{Path: os.Args[0], Args: args},
		Settings: sdk.Settings{"dir": sdk.NewSecret(r.dir)},
		Timeout:  10 * time.Second,
		Health:   process.HealthPolicy{DescribeTimeout: time.Minute},
		Backoff:  process.BackoffPolicy{Min: 50 * time.Millisecond, Max: 200 * time.Millisecond},
	}
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.Sink = s
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return r
}

// serving waits until a process serves.
func (r *rig) serving(t *testing.T) *rig {
	t.Helper()
	ctx, cancel := waittest.Context(t.Context(), waittest.Patience)
	defer cancel()
	if err := r.AwaitServing(ctx); err != nil {
		t.Fatalf("no process serves: %v\n%+v\n%s", err, r.Status(), r.log)
	}
	return r
}

// told waits for an event.
func (r *rig) told(t *testing.T, what event.Type) event.Event {
	t.Helper()
	timeout := waittest.Late(t)
	for {
		select {
		case e := <-r.events.C:
			if e.Type == what {
				return e
			}
		case <-timeout:
			t.Fatalf("no event %s came\n%s", what, r.log)
		}
	}
}

func (r *rig) breaks(t *testing.T, f folder.Fault) {
	t.Helper()
	if err := folder.Break(r.dir, f); err != nil {
		t.Fatal(err)
	}
}
