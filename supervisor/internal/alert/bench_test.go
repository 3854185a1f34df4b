package alert

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// looked gives what the supervisor does: all accounts at first, then those that
// were asked for, and some in turn.
func looked(all Snapshot) func(map[string]bool) Snapshot {
	byName, turn := map[string]Account{}, -1
	for _, a := range all.Accounts {
		byName[a.Name] = a
	}
	return func(asked map[string]bool) Snapshot {
		turn++
		if turn == 0 {
			return all
		}
		some := all
		some.Accounts = make([]Account, 0, len(asked)+1000)
		for name := range asked {
			some.Accounts = append(some.Accounts, byName[name])
		}
		for n := range 1000 {
			if a := all.Accounts[(turn*1000+n)%len(all.Accounts)]; !asked[a.Name] {
				some.Accounts = append(some.Accounts, a)
			}
		}
		return some
	}
}

// BenchmarkLook is one look of many at 100,000 accounts and 50 sinks, of which all are
// well, every thousandth account needs a login, or every one does. In short it is five
// thousand.
func BenchmarkLook(b *testing.B) {
	accounts := 100_000
	if testing.Short() {
		accounts = 5000
	}
	for _, c := range []struct {
		name     string
		troubled func(n int) bool
	}{
		{"all well", func(int) bool { return false }},
		{"some alerts", func(n int) bool { return n%1000 == 0 }},
		{"a storm", func(int) bool { return true }},
	} {
		b.Run(c.name, func(b *testing.B) {
			now := time.Now()
			shot := Snapshot{Now: now}
			for n := range accounts {
				a := healthy()
				a.Name = fmt.Sprintf("customer-%06d", n)
				a.StoredAt, a.Expiry, a.RefreshExpiry = now, now.Add(time.Hour), now.Add(5*24*time.Hour)
				a.NeedsLogin = c.troubled(n)
				shot.Accounts = append(shot.Accounts, a)
			}
			for n := range 50 {
				shot.Sinks = append(shot.Sinks, Sink{Name: fmt.Sprint("sink-", n), LastDelivery: now})
			}
			memory := store.NewMemory()
			defer func() { _ = memory.Close() }()
			e, err := New(b.Context(), Config{
				Store: memory, Policy: Policy{Repeat: 4 * time.Hour, LoginDue: 24 * time.Hour},
				Snapshot: looked(shot), Wake: func(string) {},
				Told:   func(_ context.Context, _ event.Alert) bool { return true },
				Events: event.NewBus(slog.New(slog.DiscardHandler), time.Now),
			})
			if err != nil {
				b.Fatal(err)
			}
			e.evaluate(b.Context())
			b.ReportAllocs()
			began := cpu()
			for b.Loop() {
				e.evaluate(b.Context())
			}
			b.ReportMetric(float64(cpu()-began)/float64(b.N), "cpu-ns/op")
		})
	}
}

// BenchmarkStorm is a look at which every account begins to need a login, or needs
// none any more. The time for each account says whether it is linear; "cpu" is
// that of the process, whatever else the machine does.
func BenchmarkStorm(b *testing.B) {
	for _, accounts := range []int{1_000, 10_000, 100_000} {
		if testing.Short() && accounts > 1000 {
			break
		}
		b.Run(fmt.Sprint(accounts), func(b *testing.B) {
			shot := Snapshot{Now: time.Now()}
			for n := range accounts {
				a := healthy()
				a.Name = fmt.Sprintf("customer-%06d", n)
				shot.Accounts = append(shot.Accounts, a)
			}
			memory := store.NewMemory()
			defer func() { _ = memory.Close() }()
			e, err := New(b.Context(), Config{
				Store: memory, Policy: Policy{Repeat: 4 * time.Hour}, Wake: func(string) {},
				Snapshot: func(map[string]bool) Snapshot { return shot },
				Told:     func(_ context.Context, _ event.Alert) bool { return true },
				Events:   event.NewBus(slog.New(slog.DiscardHandler), time.Now),
			})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			began := cpu()
			for b.Loop() {
				shot.Now = shot.Now.Add(time.Minute)
				for n := range shot.Accounts {
					a := &shot.Accounts[n]
					a.NeedsLogin, a.StoredAt = !a.NeedsLogin, shot.Now
				}
				e.evaluate(b.Context())
			}
			b.ReportMetric(float64(cpu()-began)/float64(b.N)/float64(accounts), "cpu-ns/account")
		})
	}
}

// cpu is the time that this process has worked.
func cpu() time.Duration {
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
