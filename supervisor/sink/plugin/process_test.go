package plugin

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/sinktest/folder"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/process"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/sinktest"
)

// eventually waits until f holds.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	waittest.Until(t, what, f)
}

// wait is for processes, which no simulated time drives.
func wait(d time.Duration) { <-time.After(d) }

// A process that was killed is replaced, and the delivery after that arrives.
func TestKilled(t *testing.T) {
	t.Parallel()
	r := start(t, folder.Type, nil, "sink").serving(t)
	before := r.Status().PID
	if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if e := r.told(t, event.SinkStopped); e.Sink != "tested" || e.Provider != "" || !strings.Contains(e.Message, "sink tested") {
		t.Errorf("the end of a sink's process is told as %+v", e)
	}
	r.serving(t)
	if err := r.Deliver(t.Context(), sinktest.Full("main", 1)); err != nil {
		t.Fatal(err)
	}
	if st := r.Status(); st.PID == before || st.Crashes != 1 || st.Version != "test" || st.Sink.Name != folder.Type {
		t.Errorf("the status is %+v", st)
	}
}

// Nothing goes through a sink while others can change a file that steers it, by
// what its program says of its settings; that is no fault of its process.
func TestFilesThatSteer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	authorities, target := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "target")
	for _, path := range []string{authorities, target} {
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chmod(path, 0o666)); err != nil {
			t.Fatal(err)
		}
	}
	r := start(t, "plain", func(c *Config) {
		c.Settings = sdk.Settings{"authorities": sdk.NewSecret(authorities), "target": sdk.NewSecret(target)}
	}, "plain").serving(t)
	err := r.Deliver(t.Context(), sinktest.Full("main", 1))
	if err == nil || errors.Is(err, sdk.ErrConnection) || errors.Is(err, sink.ErrRefused) ||
		!strings.Contains(err.Error(), "its setting authorities is refused: "+authorities) || !strings.Contains(err.Error(), "chmod go-w "+authorities) {
		t.Errorf("what everybody may change: %v", err)
	}
	if err := os.Chmod(authorities, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.Deliver(t.Context(), sinktest.Full("main", 1)); err != nil {
		t.Errorf("ours alone: %v", err)
	}
	if st := r.Status(); st.Crashes != 0 {
		t.Errorf("the process was replaced: %+v", st)
	}
}

// A restart lets the delivery in flight finish, and the next one goes to the new
// process.
func TestRestartWaitsForDeliveries(t *testing.T) {
	t.Parallel()
	r := start(t, folder.Type, nil, "sink").serving(t)
	r.breaks(t, folder.Hold)
	first := make(chan error, 1)
	go func() { first <- r.Deliver(t.Context(), sinktest.Full("main", 1)) }()
	eventually(t, "a delivery in flight", func() bool { return r.Status().InFlight == 1 })

	type answer struct {
		got process.Restarted
		err error
	}
	restarted := make(chan answer, 1)
	go func() {
		got, err := r.Restart(t.Context())
		restarted <- answer{got, err}
	}()
	second := make(chan error, 1)
	eventually(t, "a restart under way", func() bool { return r.Status().Restarts == 1 })
	select {
	case a := <-restarted:
		t.Fatalf("restarted although a delivery is in flight: %+v", a)
	case err := <-first:
		t.Fatalf("the delivery was cut off: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	r.breaks(t, "")
	if err := <-first; err != nil {
		t.Errorf("the delivery in flight: %v", err)
	}
	go func() {
		for { // as the worker does it: a start may take longer than one delivery waits
			err := r.Deliver(t.Context(), sinktest.Full("main", 2))
			if !errors.Is(err, sink.ErrAbsent) || t.Context().Err() != nil {
				second <- err
				return
			}
		}
	}()
	a := <-restarted
	if a.err != nil || a.got.PID == a.got.OldPID || a.got.OldPID == 0 {
		t.Errorf("restarted: %+v", a)
	}
	if err := <-second; err != nil {
		t.Errorf("a delivery during the restart: %v", err)
	}
}

// While no process serves nothing is lost: the worker is told so and learns
// when one serves.
func TestParkedAndBack(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/tokenkeeper-sink-folder"
	r := start(t, folder.Type, func(c *Config) { c.Command = &process.Command{Path: path, Args: []string{"sink"}} })
	if e := r.told(t, event.SinkParked); e.Sink != "tested" || !strings.Contains(e.Message, "tokenkeeper sinks restart tested") {
		t.Errorf("told as %+v", e)
	}
	err := r.Deliver(t.Context(), sinktest.Full("main", 1))
	if !errors.Is(err, sink.ErrAbsent) || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("a delivery to a parked plugin: %v", err)
	}
	back := make(chan error, 1)
	go func() { back <- r.Await(t.Context()) }()
	if err := os.Symlink(os.Args[0], path); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-back; err != nil {
		t.Errorf("Await: %v", err)
	}
	if err := r.Deliver(t.Context(), sinktest.Full("main", 1)); err != nil {
		t.Error(err)
	}
	eventually(t, "a healthy process", func() bool { return r.Status().State == process.Running })
}

// Of the plugin's own consumer it can't be told when it comes.
func TestAwaitOfAPluginsConsumer(t *testing.T) {
	t.Parallel()
	r := start(t, folder.Type, nil, "sink").serving(t)
	r.breaks(t, folder.Absent)
	if err := r.Deliver(t.Context(), sinktest.Full("main", 1)); !errors.Is(err, sink.ErrAbsent) {
		t.Fatal(err)
	}
	if err := r.Await(t.Context()); err == nil {
		t.Error("Await says that the consumer came")
	}
}

// What can't be right is told with what to do.
func TestWrongPrograms(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ typ, arg, want string }{
		"a provider":        {folder.Type, "provider", `is the provider "tiny", and no sink`},
		"a sink of another": {"other", "sink", `says that it is for sinks of type "folder", not "other"`},
		"no plugin":         {folder.Type, "-test.run=^$", "is no sink"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, c.typ, nil, c.arg)
			if e := r.told(t, event.SinkParked); !strings.Contains(e.Message, c.want) {
				t.Errorf("%q does not say %q", e.Message, c.want)
			}
			_, err := process.InspectSink(t.Context(), process.Command{Name: "tested", Path: os.Args[0], Args: []string{c.arg}}, c.typ)
			var fault *process.Fault
			if !errors.As(err, &fault) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("inspected: %v", err)
			}
		})
	}
	_, err := process.Inspect(t.Context(), process.Command{Name: "folder", Path: os.Args[0], Args: []string{"sink"}})
	if want := `is the sink "folder", and no provider`; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("a sink as a provider: %v, want %q", err, want)
	}
	info, err := process.InspectSink(t.Context(), process.Command{Name: "x", Path: os.Args[0], Args: []string{"sink"}}, folder.Type)
	if err != nil || info.Sink.Name != folder.Type || !info.Sink.Restorer || info.Version != "test" || info.SHA256 == "" {
		t.Errorf("inspected: %+v, %v", info, err)
	}
}

func TestOptionalCalls(t *testing.T) {
	t.Parallel()
	whole := start(t, folder.Type, nil, "sink").serving(t)
	if done, err := whole.Test(t.Context(), sinktest.Full("main", 1)); err != nil || done == "" {
		t.Errorf("Test: %q, %v", done, err)
	}
	if folder.Stored(whole.dir, "main") != "" {
		t.Error("a test has written a token")
	}
	if err := whole.Notify(t.Context(), sinktest.Alert("main", 1)); err != nil {
		t.Errorf("Notify: %v", err)
	}
	if _, err := whole.Restore(t.Context(), "main", "broker"); !errors.Is(err, sdk.ErrNothingStored) {
		t.Errorf("Restore of nothing: %v", err)
	}
	if err := whole.Deliver(t.Context(), sinktest.Full("main", 7)); err != nil {
		t.Fatal(err)
	}
	got, err := whole.Restore(t.Context(), "main", "broker")
	if err != nil || got.Content.Reveal() != folder.Stored(whole.dir, "main") || got.StoredAt.IsZero() {
		t.Errorf("Restore: %v, stored at %s", err, got.StoredAt)
	}

	bare := start(t, "plain", nil, "plain").serving(t)
	if _, err := bare.Restore(t.Context(), "main", "broker"); !errors.Is(err, sdk.ErrUnimplemented) {
		t.Errorf("Restore: %v", err)
	}
	if _, err := bare.Test(t.Context(), sinktest.Full("main", 1)); err == nil || !strings.Contains(err.Error(), "sinks redeliver tested") {
		t.Errorf("Test: %v", err)
	}
	if err := bare.Notify(t.Context(), sinktest.Alert("main", 1)); !errors.Is(err, sink.ErrRefused) {
		t.Errorf("Notify: %v", err)
	}
}

// What one plugin does is not felt by another.
func TestIsolation(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]func(*testing.T, *rig){
		"hangs":   func(t *testing.T, r *rig) { r.breaks(t, folder.Deaf) },
		"loops":   func(t *testing.T, r *rig) { r.breaks(t, folder.Spin) },
		"crashes": func(t *testing.T, r *rig) { r.breaks(t, folder.Exit) },
		"stopped": func(t *testing.T, r *rig) { _ = syscall.Kill(r.Status().PID, syscall.SIGSTOP) },
		"killed":  func(t *testing.T, r *rig) { _ = syscall.Kill(r.Status().PID, syscall.SIGKILL) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			well := start(t, folder.Type, func(c *Config) { c.Timeout = time.Minute }, "sink").serving(t)
			sick := start(t, folder.Type, func(c *Config) {
				c.Timeout = time.Second
				c.Health = process.HealthPolicy{DescribeTimeout: time.Minute, EndGrace: 500 * time.Millisecond, DrainGrace: 500 * time.Millisecond, AttemptTimeout: time.Second}
			}, "sink").serving(t)
			harm(t, sick)

			ctx, cancel := context.WithCancel(t.Context())
			var delivering sync.WaitGroup
			defer delivering.Wait()
			defer cancel()
			for _, account := range []string{"a", "b", "c", "d"} {
				delivering.Go(func() {
					for v := uint64(1); ctx.Err() == nil; v++ {
						_ = sick.Deliver(ctx, sinktest.Full(account, v))
					}
				})
			}
			var slowest time.Duration
			for v := range uint64(50) {
				began := time.Now()
				if err := well.Deliver(t.Context(), sinktest.Full("main", v+1)); err != nil {
					t.Fatalf("beside a plugin that %s: %v", name, err)
				}
				slowest = max(slowest, time.Since(began))
				wait(10 * time.Millisecond)
			}
			// Far from what a busy machine takes for a write of a small file.
			if slowest > 20*time.Second {
				t.Errorf("the slowest delivery took %s", slowest)
			}
			if st := well.Status(); st.Crashes != 0 || st.Generation != 1 {
				t.Errorf("the well one: %+v", st)
			}
		})
	}
}

// A process that was stopped with a delivery in flight is replaced, and
// delivers again.
func TestStoppedInFlight(t *testing.T) {
	t.Parallel()
	r := start(t, folder.Type, func(c *Config) {
		c.Timeout = 2 * time.Second
		c.Health = process.HealthPolicy{DescribeTimeout: time.Minute, StopPatience: 200 * time.Millisecond, Timeout: time.Second}
	}, "sink").serving(t)
	r.breaks(t, folder.Hold)
	flight := make(chan error, 1)
	go func() { flight <- r.Deliver(t.Context(), sinktest.Full("main", 1)) }()
	eventually(t, "a delivery in flight", func() bool { return r.Status().InFlight == 1 })
	// The supervisor lets it continue once a second: it is stopped at once again.
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		pid := r.Status().PID
		for ctx.Err() == nil && r.Status().PID == pid {
			_ = syscall.Kill(pid, syscall.SIGSTOP)
			wait(time.Millisecond)
		}
	}()
	if err := <-flight; err == nil {
		t.Error("a stopped process has delivered")
	}
	cancel()
	<-stopped
	r.breaks(t, "")
	eventually(t, "a delivery after that", func() bool {
		return r.Deliver(t.Context(), sinktest.Full("main", 1)) == nil
	})
}

// The tokens stay where they belong.
func TestNoTokenInArgumentsEnvironmentOrLog(t *testing.T) {
	t.Parallel()
	r := start(t, folder.Type, func(c *Config) { c.Settings["secret"] = sdk.NewSecret("canary-of-the-settings") }, "sink").serving(t)
	d := sinktest.Full("main", 1)
	r.breaks(t, folder.Panic)
	err := r.Deliver(t.Context(), d)
	sinktest.AssertNoSecret(t, err)
	if err == nil || !strings.Contains(err.Error(), "folder.misbehave") {
		t.Errorf("a panic is told as %v", err)
	}
	r.breaks(t, "")
	if err := r.Deliver(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	all := r.log.String()
	for _, file := range []string{"cmdline", "environ"} {
		b, err := os.ReadFile("/proc/" + strconv.Itoa(r.Status().PID) + "/" + file)
		if errors.Is(err, fs.ErrPermission) && file == "environ" && os.Geteuid() != 0 {
			continue // of a plugin that lets itself not be traced its own user reads none
		}
		if err != nil {
			t.Fatal(err)
		}
		all += string(b)
	}
	for _, secret := range []string{d.Document.AccessToken.Reveal(), d.Document.RefreshToken.Reveal(), "canary-of-the-settings"} {
		if strings.Contains(all, secret) {
			t.Error("a secret stands in the arguments, the environment or the log")
		}
	}
}
