package sink_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

// The simulated supervisor: so many sinks, a third of them not well at any
// time, and a restart now and then.
const (
	simSinks    = 18
	simSick     = simSinks / 3
	simAccounts = 100
	simRefresh  = 10_000
	// simTurn is how many refreshes pass before the sickness moves on.
	simTurn    = 250
	simRestart = 1000
)

type simulation struct {
	t       *testing.T
	rnd     *rand.Rand
	records *records
	board   *board
	sinks   [simSinks]*tally
	workers [simSinks]*sink.Worker
	stop    func()
}

func (s *simulation) start() {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	bus := event.NewBus(slog.New(slog.DiscardHandler), time.Now)
	for i, out := range s.sinks {
		cfg := both(fmt.Sprint("sink", i), out, s.board)
		cfg.Store, cfg.Events = s.records, bus
		s.workers[i] = sink.NewWorker(cfg)
		all.Go(func() { _ = s.workers[i].Run(ctx) })
	}
	s.stop = func() {
		cancel()
		all.Wait()
	}
}

// sicken makes the third that starts at first unwell, and all others healthy.
func (s *simulation) sicken(first int) {
	for i := range s.sinks {
		f := healthy
		if (i-first+simSinks)%simSinks < simSick {
			f = fate(1 + s.rnd.IntN(int(fates)-1))
		}
		s.sinks[i].be(f)
	}
}

// step refreshes one account; now and then an alert comes or goes.
func (s *simulation) step() {
	account := fmt.Sprint("a", s.rnd.IntN(simAccounts))
	s.records.next(account)
	for _, w := range s.workers {
		w.Wake(account)
	}
	if s.rnd.IntN(20) == 0 {
		a := s.board.change(account, states[s.rnd.IntN(len(states))])
		for _, w := range s.workers {
			w.WakeAlert(a.Key)
		}
	}
	time.Sleep(time.Duration(s.rnd.IntN(2000)) * time.Millisecond)
}

// check looks at the sinks that have been healthy for a turn or longer: all but
// those that are sick, and those that were.
func (s *simulation) check(healthySince func(i int) bool) {
	s.t.Helper()
	for i, out := range s.sinks {
		if !healthySince(i) {
			continue
		}
		if missing := out.lacks(s.records, s.board); len(missing) > 0 {
			s.t.Errorf("sink %d lacks %d, e.g. %s", i, len(missing), missing[0])
		}
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestManySinksOfWhichAThirdIsNeverWell(t *testing.T) {
	refreshes := simRefresh
	if testing.Short() {
		refreshes /= 4 // too few to say whether the heap grows
	}
	synctest.Test(t, func(t *testing.T) {
		s := &simulation{t: t, rnd: rand.New(rand.NewPCG(7, 11)), records: newRecords(), board: newBoard()}
		for i := range s.sinks {
			s.sinks[i] = newTally()
		}
		s.start()
		var first, last []uint64
		sick := 0
		for i := range refreshes {
			if i%simTurn == 0 {
				// The healthy have everything at once: nothing of the sick
				// ones' trouble reaches them. Who was sick had a turn to mend.
				synctest.Wait()
				s.check(func(i int) bool { return (i-sick+simSinks)%simSinks >= simSick })
				sick = (sick + simSick/2) % simSinks
				s.sicken(sick)
				switch {
				case i >= simRefresh/6 && i < simRefresh/3:
					first = append(first, heap())
				case i >= simRefresh*2/3:
					last = append(last, heap())
				}
			}
			if i%simRestart == simRestart/2 {
				s.stop()
				s.start()
			}
			s.step()
		}
		for _, out := range s.sinks {
			out.be(healthy)
		}
		pass(10 * time.Minute)
		s.check(func(int) bool { return true })
		s.stop()
		for i, out := range s.sinks {
			for _, f := range out.faults {
				t.Errorf("sink %d: %s", i, f)
			}
		}
		if before, after := mean(first), mean(last); after > before*1.25 && refreshes == simRefresh {
			t.Errorf("the heap grew from %.0f to %.0f bytes", before, after)
		}
	})
}

func mean(all []uint64) float64 {
	sum := 0.0
	for _, v := range all {
		sum += float64(v)
	}
	return sum / float64(len(all))
}

func TestManyAccountsAndOneSlowSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const accounts = 1000
		r, out := newRecords(), newTally()
		out.be(hanging)
		b := start(t, both("slow", out, newBoard()), r)
		refreshAll := func() {
			for i := range accounts {
				b.refresh(fmt.Sprint("a", i))
			}
			pass(time.Minute)
			b.count()
		}
		refreshAll()
		refreshAll()
		before, goroutines := heap(), runtime.NumGoroutine()
		for range 50 {
			refreshAll()
		}
		if after := heap(); float64(after) > float64(before)*1.25+256<<10 {
			t.Errorf("the heap grew from %d to %d bytes", before, after)
		}
		if n := runtime.NumGoroutine(); n > goroutines+4 {
			t.Errorf("%d goroutines, %d before", n, goroutines)
		}
		out.be(healthy)
		pass(time.Hour)
		if missing := out.lacks(r, newBoard()); len(missing) > 0 {
			t.Errorf("%d are missing, e.g. %s", len(missing), missing[0])
		}
	})
}
