package restore

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/roster"
	"github.com/tokenkeeper/tokenkeeper/supervisor/lineage"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/file"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/readback"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// folder is a file sink that says what it holds.
type folder struct {
	holds func(readback.Question) (readback.Held, error)
}

func (f *folder) Deliver(context.Context, sink.Delivery) error { return nil }

func (f *folder) Holds(_ context.Context, q readback.Question) (readback.Held, error) {
	return f.holds(q)
}

// ledger is a store in which nothing was ever delivered.
type ledger struct{ sink.Store }

func (ledger) Delivery(context.Context, string, string) (store.Delivery, error) {
	return store.Delivery{}, nil
}

// inquirer asks one file sink of every account.
func inquirer(f *folder) *Inquirer {
	r := roster.New(&config.Config{Sinks: map[string]config.Sink{"bot": {Name: "bot", Destination: &file.Settings{}}}})
	e := NewInquirer(r, never, slog.New(slog.DiscardHandler), time.Now)
	r.Now().Workers["bot"] = sink.NewWorker(sink.WorkerConfig{
		Name: "bot", Type: "file", Sink: f, Store: ledger{}, Events: event.NewBus(slog.New(slog.DiscardHandler), time.Now),
		ReadBack: sink.ReadBack{Ours: func(account string) lineage.Ours { return e.ours(account) }},
	})
	return e
}

// never: no name was ever free.
func never(context.Context, string) (time.Time, error) { return time.Time{}, nil }

func recordOf(account string) store.Record {
	return store.Record{
		Account: account, Provider: "broker", Version: 1, StoredAt: time.Now(),
		Token: sdk.Token{RefreshToken: sdk.NewSecret("ours"), IssuedAt: time.Now(), Lifetime: time.Hour},
	}
}

// What a file holds that can't be read may be newer than ours, whatever is the matter
// with it: ours waits. Where there is no place for a file, there is none.
func TestAFileThatCantBeReadIsADoubt(t *testing.T) {
	for _, c := range []struct {
		err   error
		doubt bool
	}{
		{syscall.EMFILE, true},
		{syscall.ESTALE, true},
		{fs.ErrPermission, true},
		{fs.ErrNotExist, false},
		{sdk.ErrNothingStored, false},
	} {
		f := &folder{func(readback.Question) (readback.Held, error) {
			return readback.Held{}, fmt.Errorf("read /out/a.json: %w", c.err)
		}}
		said := inquirer(f).Ask(t.Context(), recordOf("a"))
		if (said.Doubt != "") != c.doubt || c.doubt && (!said.Unheard || !strings.Contains(said.Doubt, c.err.Error())) {
			t.Errorf("%v: %+v", c.err, said)
		}
	}
}

// A disk that hangs costs the first of its accounts the time that an answer may take,
// and the others next to nothing, as often as they are asked; those of another disk
// are answered.
func TestADiskThatHangsIsWaitedForOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead := make(chan struct{})
		var hung atomic.Int32
		e := inquirer(&folder{func(q readback.Question) (readback.Held, error) {
			if q.Account != "well" {
				hung.Add(1)
				<-dead
			}
			return readback.Held{}, syscall.EIO
		}})
		expired := func(account string) store.Record {
			rec := recordOf(account)
			rec.Token.Lifetime = time.Nanosecond
			return rec
		}
		asks := func(account string, most time.Duration) refresh.Elsewhere {
			began := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			said := e.Ask(ctx, expired(account))
			if took := time.Since(began); took > most {
				t.Errorf("account %s waited for %s", account, took)
			}
			return said
		}
		time.Sleep(time.Second)
		if said := asks("first", fileExpired); !said.Unheard || said.Doubt != "" {
			t.Errorf("%+v", said)
		}
		time.Sleep(fileSlow)
		for range 3 {
			for _, account := range []string{"first", "second", "third"} {
				asks(account, fileHung)
			}
		}
		if n := hung.Load(); n != 3 {
			t.Errorf("%d questions were left behind for 3 accounts", n)
		}
		if said := asks("well", 0); said.Doubt == "" {
			t.Errorf("the one on another disk: %+v", said)
		}
		close(dead)
		synctest.Wait()
		if said := asks("first", 0); said.Doubt == "" {
			t.Errorf("afterwards: %+v", said)
		}
	})
}

// A question that was answered keeps no other waiting, however soon that comes.
func TestOneQuestionAfterTheOther(t *testing.T) {
	e := inquirer(&folder{func(readback.Question) (readback.Held, error) { return readback.Held{}, syscall.EIO }})
	for n := range 10_000 {
		if said := e.Ask(t.Context(), recordOf("a")); said.Doubt == "" {
			t.Fatalf("question %d was not asked: %+v", n, said)
		}
	}
}

// A file that is cut off may hold what is left of a newer token: that is a doubt, and a
// token that stands there whole is taken. What is left of ours, or from before the broker
// gave us ours, is neither.
func TestAFileThatIsCutOffIsADoubt(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		token        string
		at           time.Time
		rest         bool
		doubt, newer bool
	}{
		"nothing whole":               {"", now.Add(-time.Minute), true, true, false},
		"an unknown one":              {"theirs", now.Add(-time.Minute), true, false, true},
		"ours":                        {"ours", now.Add(-time.Minute), true, false, false},
		"from before":                 {"", now.Add(-2 * time.Hour), true, false, false},
		"an unknown one, from before": {"theirs", now.Add(-2 * time.Hour), true, false, false},
		"empty":                       {"", now.Add(-time.Minute), false, false, false},
	} {
		f := &folder{func(readback.Question) (readback.Held, error) {
			return readback.Held{File: "/out/a.json", At: c.at, Rest: c.rest, Document: format.Document{RefreshToken: sdk.NewSecret(c.token)}},
				fmt.Errorf("read /out/a.json: %w", format.ErrUnreadable)
		}}
		rec := recordOf("a")
		rec.Origin = store.OriginRefresh
		rec.StoredAt, rec.Token.IssuedAt = now.Add(-time.Hour), now.Add(-time.Hour)
		said := inquirer(f).Ask(t.Context(), rec)
		if (said.Doubt != "") != c.doubt || (said.Newer != nil) != c.newer {
			t.Errorf("%s: %+v", name, said)
		}
	}
}
