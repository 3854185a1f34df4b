package main

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// The benchmarks build the program without cgo, as it is released, and run it
// as real processes against simulated brokers behind TLS:
//
//	go test -run '^$' -bench Idle    ./cmd/tokenkeeper -benchtime 1x -timeout 0 -settle 1h
//	go test -run '^$' -bench Start   ./cmd/tokenkeeper -benchtime 20x
//	go test -run '^$' -bench Restart ./cmd/tokenkeeper -benchtime 20x
//	go test -run '^$' -bench Durable ./cmd/tokenkeeper -benchtime 500x
//	go test -run '^$' -bench Spooled ./cmd/tokenkeeper -benchtime 500x
//
// Times depend on the machine: what may be compared are the ratios.
var (
	idleFor   = flag.Duration("idle", 5*time.Minute, "how long BenchmarkIdle watches the idle processes; two minutes and more tell something")
	between   = flag.Duration("between", 0, "how long BenchmarkDurable waits before each refresh; from 6s on the processes have come to rest")
	settleFor = flag.Duration("settle", 70*time.Second, "how long BenchmarkIdle lets the processes settle; a new one is watched for a minute")
)

// benchPatience is longer than anything that is waited for.
const benchPatience = 30 * time.Second

// BenchmarkIdle measures the three processes from outside, after each provider has made
// a refresh, and so has all that a refresh needs in memory; and how long a refresh takes
// then, beside those that follow at once. Refreshes that come due meanwhile count.
func BenchmarkIdle(b *testing.B) {
	w := newBenchWorld(b)
	var pss, private, woken, missed, cpu float64
	var first, warm samples
	for b.Loop() {
		r := w.start(b)
		r.awaitReady(b)
		for _, broker := range w.brokers {
			r.refresh(b, broker.account)
		}
		pids, err := family(r.cmd.Process.Pid)
		if err != nil || len(pids) != 1+len(w.brokers) {
			b.Fatalf("the program's processes are %v: %v", pids, err)
		}
		sleep(b, *settleFor)
		before, lacked, ran := total(b, pids, switches), total(b, pids, faults), total(b, pids, worked)
		sleep(b, *idleFor)
		woken += (total(b, pids, switches) - before) / idleFor.Minutes()
		missed += (total(b, pids, faults) - lacked) / idleFor.Minutes()
		cpu += 100 * (total(b, pids, worked) - ran) / float64(*idleFor)
		for _, pid := range pids {
			b.Logf("process %d: %.1f MiB in private memory, %.1f MiB in pages of the program", pid,
				total(b, []int{pid}, anonymous)/1024, total(b, []int{pid}, filed)/1024)
		}
		pss += total(b, pids, proportional) / 1024
		private += total(b, pids, dirty) / 1024
		for i := range 10 {
			for _, broker := range w.brokers {
				began := time.Now()
				r.refresh(b, broker.account)
				if took := time.Since(began); i == 0 {
					first = append(first, took)
				} else {
					warm = append(warm, took)
				}
			}
		}
		r.end(b)
	}
	first.report(b, "first-refresh")
	warm.report(b, "refresh")
	b.ReportMetric(pss/float64(b.N), "PSS-MiB")
	b.ReportMetric(private/float64(b.N), "dirty-MiB")
	b.ReportMetric(woken/float64(b.N), "switches/min")
	b.ReportMetric(missed/float64(b.N), "faults/min")
	b.ReportMetric(cpu/float64(b.N), "%CPU")
	b.ReportMetric(w.size(b)/1e6, "program-MB")
	b.ReportMetric(0, "ns/op")
}

// sleep lets real time pass for processes that can't be given another one.
func sleep(b *testing.B, d time.Duration) {
	select {
	case <-time.After(d):
	case <-b.Context().Done():
		b.Fatal(b.Context().Err())
	}
}

// BenchmarkStart measures from the start of "tokenkeeper run", with an account
// in its store whose token is due, to the new token at the bot.
func BenchmarkStart(b *testing.B) {
	w := newBenchWorld(b)
	var took samples
	for b.Loop() {
		broker := w.brokers[len(took)%len(w.brokers)]
		g := broker.sim.Grant(broker.account)
		w.store(b, broker, g, time.Now().Add(-g.ExpiresIn))
		ctx, cancel := context.WithTimeout(b.Context(), benchPatience)
		began := time.Now()
		r := w.start(b)
		got, err := w.bot.next(ctx)
		if err != nil {
			b.Fatalf("%v\n%s", err, r.log)
		}
		took = append(took, got.at.Sub(began))
		r.awaitReady(b)
		r.end(b)
		cancel()
	}
	took.report(b, "delivered")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkRestart measures a restart as of a service, with nothing in flight: from its
// SIGTERM until both providers of the next one serve.
func BenchmarkRestart(b *testing.B) {
	w := newBenchWorld(b)
	var took samples
	r := w.start(b)
	r.awaitReady(b)
	for b.Loop() {
		began := time.Now()
		r.end(b)
		r = w.start(b)
		r.awaitReady(b)
		took = append(took, time.Since(began))
	}
	r.end(b)
	took.report(b, "restart")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkDurable measures from the last byte of the broker's answer until
// the new token is stored, and until it is with the bot, also counted from the
// moment at which it is stored. Between the refreshes
// three bare fdatasyncs are measured in the same directory: as many as there are
// on that way, one of the spool and two of the store.
func BenchmarkDurable(b *testing.B) {
	w := newBenchWorld(b)
	r := w.start(b)
	r.awaitReady(b)
	refreshed, stop := r.follow(b)
	defer stop()
	disk := newBareDisk(b, w.state())
	var durable, delivered, handed, bare samples
	for b.Loop() {
		sleep(b, *between)
		broker := w.brokers[len(durable)%len(w.brokers)]
		r.refresh(b, broker.account)
		ctx, cancel := context.WithTimeout(b.Context(), benchPatience)
		var answered time.Time
		var stored event.Event
		select {
		case answered = <-broker.answered:
		case <-ctx.Done():
			b.Fatal(ctx.Err())
		}
		select {
		case stored = <-refreshed:
		case <-ctx.Done():
			b.Fatal(ctx.Err())
		}
		got, err := w.bot.next(ctx)
		if err != nil {
			b.Fatal(err)
		}
		durable = append(durable, stored.Time.Sub(answered))
		delivered = append(delivered, got.at.Sub(answered))
		handed = append(handed, max(0, got.at.Sub(stored.Time)))
		bare = append(bare, disk.three(b))
		cancel()
	}
	r.end(b)
	durable.report(b, "durable")
	delivered.report(b, "delivered")
	handed.report(b, "durable-to-delivered")
	durable.against(b, bare, "durable")
}

// awaitReady returns when every provider serves.
func (r *benchRun) awaitReady(b *testing.B) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), benchPatience)
	defer cancel()
	for {
		s, err := r.client.Status(ctx)
		ready := err == nil
		for _, p := range s.Providers {
			ready = ready && p.State == control.ProviderRunning
		}
		if ready {
			return
		}
		if err != nil && !errors.Is(err, control.ErrNotRunning) || ctx.Err() != nil {
			b.Fatalf("the program does not get ready: %v\n%s", err, r.log)
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// refresh makes a refresh of an account that is not due.
func (r *benchRun) refresh(b *testing.B, account string) {
	b.Helper()
	if _, err := r.client.Refresh(b.Context(), account, true); err != nil {
		b.Fatalf("%v\n%s", err, r.log)
	}
}

// follow returns the events of every refresh from now on, whose time is taken
// as soon as the token is durable.
func (r *benchRun) follow(b *testing.B) (refreshed <-chan event.Event, stop func()) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	c := make(chan event.Event, 16)
	started, done := make(chan struct{}), make(chan error, 1)
	client := control.NewClient(r.client.Socket())
	go func() {
		defer client.Close()
		done <- client.Events(ctx, func() { close(started) }, func(e event.Event) error {
			if e.Type == event.Refreshed {
				c <- e
			}
			return nil
		})
	}()
	select {
	case <-started:
	case err := <-done:
		b.Fatal(err)
	}
	return c, func() { cancel(); <-done }
}

// bareDisk is a file that is written as the spool and the store write theirs:
// in place.
type bareDisk struct {
	file  *os.File
	block []byte
}

func newBareDisk(b *testing.B, dir string) *bareDisk {
	b.Helper()
	f, err := os.Create(filepath.Join(dir, "bare"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = f.Close() })
	d := &bareDisk{f, make([]byte, 4096)}
	if _, err := f.Write(d.block); err != nil {
		b.Fatal(err)
	}
	d.three(b)
	return d
}

// three writes a block and makes it durable, three times.
func (d *bareDisk) three(b *testing.B) time.Duration {
	b.Helper()
	began := time.Now()
	for range 3 {
		d.block[0]++
		if _, err := d.file.WriteAt(d.block, 0); err != nil {
			b.Fatal(err)
		}
		if err := unix.Fdatasync(int(d.file.Fd())); err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(began)
}
