package sink_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

func TestDeliversEveryNewVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &receiver{}
		b := start(t, sink.WorkerConfig{Sink: out, Accounts: []string{"a"}}, newRecords())
		for range 3 {
			b.refresh("a")
			b.refresh("other")
			pass(time.Second)
		}
		if got := out.versions("a"); !slices.Equal(got, []uint64{1, 2, 3}) {
			t.Errorf("versions %v arrived", got)
		}
		if got := out.versions("other"); got != nil {
			t.Errorf("an account that does not go here arrived: %v", got)
		}
		st := b.Status("a")
		if st.Version != 3 || st.DeliveredAt.IsZero() || st.Failures != 0 || st.LastError != "" {
			t.Errorf("status %+v", st)
		}
		if n := b.count(); n[event.Delivered] != 3 || len(n) != 1 {
			t.Errorf("events %v", n)
		}
	})
}

func TestOrderIsNeverReversed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const accounts = 20
		rnd, dice := rand.New(rand.NewPCG(1, 2)), rand.New(rand.NewPCG(3, 4))
		out := &receiver{}
		out.set(func(ctx context.Context, d sink.Delivery) error {
			out.mu.Lock()
			fate, pause := rnd.IntN(6), time.Duration(rnd.IntN(20))*time.Second
			out.mu.Unlock()
			switch fate {
			case 0:
				return errors.New("reset")
			case 1:
				return sink.ErrAbsent
			case 2:
				return &sink.RetryAfterError{After: pause, Err: errors.New("busy")}
			case 3:
				panic("a bug")
			}
			select {
			case <-time.After(pause):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		b := start(t, sink.WorkerConfig{Sink: out, Policy: sink.RetryPolicy{Timeout: 15 * time.Second}}, newRecords())
		name := func(i int) string { return fmt.Sprintf("a%d", i) }
		last := map[string]uint64{}
		for range 2000 {
			a := name(dice.IntN(accounts))
			b.refresh(a)
			last[a]++
			pass(time.Duration(dice.IntN(3000)) * time.Millisecond)
		}
		pass(time.Hour)
		for i := range accounts {
			got := out.versions(name(i))
			if !slices.IsSorted(got) {
				t.Errorf("%s: the order was reversed: %v", name(i), got)
			}
			if len(got) == 0 || got[len(got)-1] != last[name(i)] {
				t.Errorf("%s: %v arrived, the newest is %d", name(i), got, last[name(i)])
			}
		}
		if len(out.faults) > 0 {
			t.Error(out.faults[0])
		}
	})
}

func TestRetrySchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &receiver{}
		out.set(func(context.Context, sink.Delivery) error { return errors.New("no") })
		b := start(t, sink.WorkerConfig{Sink: out}, newRecords())
		began := time.Now()
		b.refresh("a")
		pass(10 * time.Minute)
		var pauses []time.Duration
		for i := range out.at[1:] {
			pauses = append(pauses, out.at[i+1].Sub(out.at[i]))
		}
		if !out.at[0].Equal(began) {
			t.Errorf("the first try came %s late", out.at[0].Sub(began))
		}
		want := []time.Duration{5, 5, 10, 20, 40, 60, 60, 60}
		for i, w := range want {
			w *= time.Second
			low := w
			if i >= 2 {
				low = w * 4 / 5
			}
			if pauses[i] < low || pauses[i] > w {
				t.Errorf("pause %d is %s, want %s to %s", i+1, pauses[i], low, w)
			}
		}
		if st := b.Status("a"); st.Failures != len(out.at) || st.LastError != "no" || !st.Next.After(time.Now()) {
			t.Errorf("status %+v after %d tries", st, len(out.at))
		}
		// Every try of a version bears the same id.
		for _, d := range out.tries {
			if d.ID != out.tries[0].ID || !strings.HasPrefix(d.ID, "msg_") {
				t.Errorf("id %q, then %q", out.tries[0].ID, d.ID)
			}
		}
		out.set(nil)
		pass(2 * time.Minute)
		if got := out.versions("a"); !slices.Equal(got, []uint64{1}) {
			t.Errorf("versions %v", got)
		}
	})
}

func TestNewerVersionIsTriedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &receiver{}
		out.set(func(_ context.Context, d sink.Delivery) error { return errors.New("no") })
		b := start(t, sink.WorkerConfig{Sink: out}, newRecords())
		b.refresh("a")
		pass(5 * time.Minute) // the pauses are a minute long by now
		n := out.tried()
		b.Wake("a") // nothing new: its retry is not due
		synctest.Wait()
		if out.tried() != n {
			t.Error("a wake without a newer version was a try")
		}
		b.refresh("a")
		began := time.Now()
		pass(11 * time.Second)
		out.mu.Lock()
		defer out.mu.Unlock()
		var offsets []time.Duration
		for i, d := range out.tries {
			if d.Version == 2 {
				offsets = append(offsets, out.at[i].Sub(began))
			}
		}
		if !slices.Equal(offsets, []time.Duration{0, 5 * time.Second, 10 * time.Second}) {
			t.Errorf("version 2 was tried after %v", offsets)
		}
		if out.tries[n-1].ID == out.tries[n].ID {
			t.Error("two versions bear the same id")
		}
	})
}

func TestRestartDeliversOnlyWhatIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, out := newRecords(), &receiver{}
		for _, a := range []string{"a", "b", "c"} {
			r.next(a)
		}
		b := start(t, sink.WorkerConfig{Sink: out}, r)
		pass(time.Second)
		if len(out.got) != 3 {
			t.Fatalf("%d deliveries at the first start", len(out.got))
		}
		b.stop()
		r.next("b")
		before := r.loads
		start(t, sink.WorkerConfig{Sink: out}, r)
		pass(time.Second)
		if n := r.loads - before; n != 1 {
			t.Errorf("%d records were read for one that is missing", n)
		}
		if got := out.versions("b"); len(out.got) != 4 || !slices.Equal(got, []uint64{1, 2}) {
			t.Errorf("%d deliveries in all, of b %v", len(out.got), got)
		}
	})
}

func TestRestartBeforeTheLedgerKnows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, out := newRecords(), &receiver{}
		r.loseAll = true
		r.next("a")
		b := start(t, sink.WorkerConfig{Sink: out}, r)
		pass(time.Second)
		b.stop()
		start(t, sink.WorkerConfig{Sink: out}, r)
		pass(time.Second)
		if len(out.got) != 2 || out.got[0].ID != out.got[1].ID {
			t.Errorf("delivered %d times, want twice with the same id", len(out.got))
		}
	})
}

func TestRestoredBackupUsesVersionsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, out := newRecords(), &receiver{}
		backup := r.next("a")
		b := start(t, sink.WorkerConfig{Sink: out}, r)
		for range 3 {
			pass(time.Minute)
			b.refresh("a")
		}
		pass(time.Minute)
		b.stop()
		r.set(func(r *records) { r.recs["a"] = backup })
		b = start(t, sink.WorkerConfig{Sink: out}, r)
		pass(time.Minute)
		b.refresh("a")
		pass(time.Second)
		if got := out.versions("a"); !slices.Equal(got, []uint64{1, 2, 3, 4, 2}) {
			t.Errorf("versions %v arrived, want the new version 2 and not the old 1", got)
		}
		if out.got[1].ID == out.got[4].ID {
			t.Error("two tokens bear the same id")
		}
	})
}

func TestRetryAfterIsObeyed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &receiver{}
		ask := func(after time.Duration) {
			out.set(func(context.Context, sink.Delivery) error {
				return fmt.Errorf("sink: %w", &sink.RetryAfterError{After: after, Err: errors.New("busy")})
			})
		}
		const after = 10 * time.Minute
		ask(after)
		b := start(t, sink.WorkerConfig{Sink: out}, newRecords())
		b.refresh("a")
		pass(after - time.Second)
		b.refresh("a") // a newer version waits as well
		synctest.Wait()
		if out.tried() != 1 {
			t.Fatalf("%d tries before the time that was asked for", out.tried())
		}
		ask(1000 * time.Hour)
		pass(2 * time.Second)
		if out.tried() != 2 {
			t.Fatalf("%d tries after the time that was asked for", out.tried())
		}
		pass(time.Hour)
		if out.tried() != 3 {
			t.Errorf("%d tries: a pause is an hour at most", out.tried())
		}
	})
}

func TestGoneDisables(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &receiver{}
		out.set(func(context.Context, sink.Delivery) error { return fmt.Errorf("410: %w", sink.ErrGone) })
		b := start(t, sink.WorkerConfig{Sink: out, MaxConcurrent: 1}, newRecords())
		b.refresh("a")
		b.refresh("b")
		pass(time.Hour)
		b.refresh("a")
		pass(time.Hour)
		if out.tried() != 1 {
			t.Errorf("%d tries, want 1", out.tried())
		}
		if !b.Status("a").Disabled || !b.Status("never-seen").Disabled {
			t.Error("the status does not say that the sink is disabled")
		}
		// It is about the sink alone, as the alert is: one about an account
		// would be told beside that.
		if e := <-b.events.C; e.Type != event.SinkDisabled || e.Account != "" || e.Provider != "" || e.Sink == "" {
			t.Errorf("event %+v", e)
		}
		if n := b.count(); len(n) != 0 {
			t.Errorf("more events: %v", n)
		}
	})
}

func TestRefusedWaitsForTheNextVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &receiver{}
		out.set(func(_ context.Context, d sink.Delivery) error {
			if d.Version == 1 {
				return fmt.Errorf("too long: %w", sink.ErrRefused)
			}
			return nil
		})
		b := start(t, sink.WorkerConfig{Sink: out}, newRecords())
		b.refresh("a")
		pass(time.Hour)
		b.Wake("a")
		pass(time.Hour)
		if out.tried() != 1 || b.Status("a").LastError == "" {
			t.Errorf("%d tries, status %+v", out.tried(), b.Status("a"))
		}
		if s := b.Summary(); s.Failing != 1 || s.Refused != 1 {
			t.Errorf("%d fail, of which %d are refused; want 1 of 1", s.Failing, s.Refused)
		}
		b.refresh("a")
		pass(time.Second)
		if s := b.Summary(); s.Failing+s.Refused != 0 {
			t.Errorf("%d fail, of which %d are refused; want none", s.Failing, s.Refused)
		}
		if got := out.versions("a"); !slices.Equal(got, []uint64{2}) {
			t.Errorf("versions %v", got)
		}
	})
}

func TestFieldPolicy(t *testing.T) {
	for _, include := range []bool{false, true} {
		t.Run(fmt.Sprint(include), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				out := &receiver{}
				b := start(t, sink.WorkerConfig{
					Sink: out, IncludeRefreshToken: include,
					Credentials: func(string) (string, sdk.Secret) { return "app", sdk.NewSecret("client-secret") },
				}, newRecords())
				b.refresh("a")
				pass(time.Second)
				d := out.got[0].Document
				if d.AccessToken.Reveal() != "access-a-1" || d.Extra["base_uri"] == "" || d.Expiry.IsZero() || d.Provider != "broker" {
					t.Errorf("document %+v", d)
				}
				for name, has := range map[string]bool{
					"refresh token": !d.RefreshToken.IsZero(), "id token": !d.IDToken.IsZero(),
					"client id": d.ClientID != "", "client secret": !d.ClientSecret.IsZero(),
				} {
					if has != include {
						t.Errorf("%s present: %v, want %v", name, has, include)
					}
				}
			})
		})
	}
}

func TestPanicIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &receiver{}
		out.set(func(_ context.Context, d sink.Delivery) error { panic(d.Document.AccessToken.Reveal()) })
		b := start(t, sink.WorkerConfig{Sink: out}, newRecords())
		b.refresh("a")
		pass(time.Second)
		st := b.Status("a")
		if st.Failures != 1 || !strings.Contains(st.LastError, "panicked") || !strings.Contains(st.LastError, "TestPanicIsAFailure") {
			t.Errorf("status %+v", st)
		}
		if strings.Contains(st.LastError, "access-a") {
			t.Errorf("the error tells the token: %s", st.LastError)
		}
		out.set(nil)
		pass(5 * time.Second)
		if out.versions("a") == nil {
			t.Error("not delivered after the panic")
		}
	})
}

func TestBrokenStoreIsRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, out := newRecords(), &receiver{}
		r.next("a")
		r.broken = errors.New("disk")
		b := start(t, sink.WorkerConfig{Sink: out}, r)
		pass(7 * time.Second)
		r.set(func(r *records) { r.broken = nil })
		pass(10 * time.Second)
		if out.versions("a") == nil {
			t.Fatal("not delivered after the ledger could be read")
		}
		r.set(func(r *records) { r.broken = errors.New("disk") })
		b.Wake("a")
		pass(7 * time.Second)
		r.set(func(r *records) { r.broken = nil })
		b.refresh("a")
		pass(time.Second)
		if got := out.versions("a"); !slices.Equal(got, []uint64{1, 2}) {
			t.Errorf("versions %v", got)
		}
	})
}
