package sink_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/readback"
)

// bot is a receiver that tells who is there, and of whom there is news.
type bot struct {
	receiver
	mu   sync.Mutex
	name string
	news func(string)
}

func (b *bot) Recipient(context.Context) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.name, nil
}

func (b *bot) Watch(_ context.Context, news func(string)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.news = news
	return nil
}

// starts has another one start, which is heard of if it is heard.
func (b *bot) starts(name string, heard bool) {
	b.mu.Lock()
	b.name = name
	news := b.news
	b.mu.Unlock()
	if heard {
		news("")
	}
}

// looking has the worker look twice a minute, as the watchdog does, for so long.
func (b *bench) looking(d time.Duration) {
	for range int(d / (30 * time.Second)) {
		b.Look()
		pass(30 * time.Second)
	}
}

func TestAConsumerThatStartedAnewGetsTheToken(t *testing.T) {
	for name, heard := range map[string]bool{"heard of": true, "seen at a look": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				out := &bot{name: "first"}
				b := start(t, sink.WorkerConfig{Sink: out}, newRecords())
				for i := range 10 {
					b.refresh(fmt.Sprint("a", i))
				}
				b.looking(time.Hour)
				if n := out.tried(); n != 10 {
					t.Fatalf("%d deliveries to one consumer", n)
				}
				out.starts("second", heard)
				if heard {
					pass(time.Second)
				} else {
					b.looking(30 * time.Second)
				}
				if n := out.tried(); n != 20 {
					t.Fatalf("%d deliveries, want 10 to each", n)
				}
				b.looking(time.Hour)
				out.starts("", heard) // it has ended, and nobody took its place
				b.looking(time.Hour)
				if n := out.tried(); n != 20 {
					t.Errorf("%d deliveries, want none more", n)
				}
				if st := b.Status("a0"); st.Version != 1 || b.Summary().Behind != 0 {
					t.Errorf("%+v, %+v", st, b.Summary())
				}
			})
		})
	}
}

// What the ledger says of the consumer counts after a restart of ours, too.
func TestARestartTellsNobodyTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out, r := &bot{name: "first"}, newRecords()
		b := start(t, sink.WorkerConfig{Sink: out}, r)
		b.refresh("a")
		pass(time.Minute)
		b.stop()
		b = start(t, sink.WorkerConfig{Sink: out}, r)
		b.looking(time.Hour)
		if n := out.tried(); n != 1 {
			t.Errorf("%d deliveries to a consumer that went on", n)
		}
		b.stop()
		out.starts("second", false)
		start(t, sink.WorkerConfig{Sink: out}, r)
		pass(time.Second)
		if n := out.tried(); n != 2 {
			t.Errorf("%d deliveries, want one more to the one that has started meanwhile", n)
		}
	})
}

// A consumer that fails is waited for ever longer, and the next one is not.
func TestAnotherConsumerCutsABackOffShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &bot{name: "first"}
		out.set(func(context.Context, sink.Delivery) error { return errors.New("wrong answer") })
		b := start(t, sink.WorkerConfig{Sink: out}, newRecords())
		b.refresh("a")
		b.looking(time.Hour)
		if n := out.tried(); n > 80 {
			t.Errorf("%d tries in an hour", n)
		}
		out.set(nil)
		out.starts("second", true)
		pass(200 * time.Millisecond)
		if b.Status("a").Version != 1 {
			t.Error("it waits for the end of the back-off")
		}
	})
}

func TestASocketIsThereBeforeAnybodyListens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &bot{name: "first"}
		b := start(t, sink.WorkerConfig{Sink: out}, newRecords())
		b.refresh("a")
		pass(time.Minute)
		out.set(absent)
		out.starts("second", true)
		pass(30 * time.Millisecond)
		out.set(nil)
		pass(200 * time.Millisecond)
		if n := len(out.versions("a")); n != 2 {
			t.Errorf("%d deliveries arrived, want one to each", n)
		}
	})
}

func TestWhatAnotherConsumerLacksCountsAsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &bot{name: "first"}
		b := start(t, sink.WorkerConfig{Sink: out}, newRecords())
		b.refresh("a")
		pass(time.Minute)
		out.set(func(context.Context, sink.Delivery) error { return errors.New("wrong answer") })
		out.starts("second", true)
		pass(time.Minute)
		if st, s := b.Status("a"), b.Summary(); st.Version != 0 || s.Behind != 1 || s.UpToDate != 0 || s.Failing != 1 || s.Lag != time.Minute {
			t.Errorf("%+v, %+v", st, s)
		}
	})
}

// A consumer that binds its socket anew after each token, or that dies of it and is
// started again, is no reason to deliver as fast as can be.
func TestAConsumerThatStartsAnewWithoutEnd(t *testing.T) {
	for name, err := range map[string]error{"answers": nil, "dies of it": errors.New("no answer")} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				out := &bot{name: "first"}
				out.set(func(_ context.Context, d sink.Delivery) error {
					go func() {
						time.Sleep(10 * time.Millisecond)
						out.starts(fmt.Sprint("started at ", time.Now()), true)
					}()
					return err
				})
				b := start(t, sink.WorkerConfig{Sink: out}, newRecords())
				b.refresh("a")
				b.looking(10 * time.Minute)
				if n := out.tried(); n < 20 || n > 70 {
					t.Errorf("%d deliveries in ten minutes", n)
				}
				out.set(nil)
				pass(time.Hour)
				before := out.tried()
				out.starts("at last", true)
				pass(200 * time.Millisecond)
				if n := out.tried(); n != before+1 {
					t.Errorf("%d deliveries after a quiet time, want one at once", n-before)
				}
			})
		})
	}
}

// teller is a receiver that says which version it holds.
type teller struct {
	bot
	holds  map[string]uint64
	broken error
	asked  int
}

func (b *teller) Deliver(ctx context.Context, d sink.Delivery) error {
	err := b.receiver.Deliver(ctx, d)
	if err == nil {
		b.change(func() { b.holds[d.Document.Account] = d.Version })
	}
	return err
}

func (b *teller) change(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

func (b *teller) Holds(_ context.Context, q readback.Question) (readback.Held, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	version, has := b.holds[q.Account]
	switch {
	case b.broken != nil:
		return readback.Held{}, b.broken
	case !q.Lightly:
		return readback.Held{}, sdk.ErrUnimplemented
	case !has:
		return readback.Held{}, sdk.ErrNothingStored
	}
	return readback.Held{Told: true, Version: version}, nil
}

func TestWhatADestinationLostIsDeliveredAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &teller{holds: map[string]uint64{}}
		b := start(t, sink.WorkerConfig{Sink: out, ReadBack: sink.ReadBack{Regularly: true}}, newRecords())
		for range 3 {
			b.refresh("a")
			b.refresh("b")
			pass(time.Minute)
		}
		b.looking(time.Hour)
		if n := out.tried(); n != 6 {
			t.Fatalf("%d deliveries, want 6", n)
		}
		out.change(func() { delete(out.holds, "a"); out.holds["b"] = 2 })
		b.count()
		b.looking(30 * time.Second)
		if n := out.tried(); n != 8 || out.holds["a"] != 3 || out.holds["b"] != 3 {
			t.Errorf("%d deliveries, and it holds %v", n, out.holds)
		}
		if n := b.count(); n[event.SinkMended] != 2 || n[event.Delivered] != 2 {
			t.Errorf("told: %v", n)
		}
		// With news it is put back as soon as whoever took it away could have put
		// something in its place.
		out.change(func() { delete(out.holds, "b") })
		out.news("b")
		pass(900 * time.Millisecond)
		if n := out.tried(); n != 8 {
			t.Errorf("%d deliveries, want none before a second has passed", n)
		}
		pass(200 * time.Millisecond)
		if n := out.tried(); n != 9 {
			t.Errorf("%d deliveries, want 9", n)
		}
		// A newer one is left alone: a store that was set back has its own rules.
		out.change(func() { out.holds["a"] = 7 })
		b.looking(time.Hour)
		if n := out.tried(); n != 9 {
			t.Errorf("%d deliveries, want 9", n)
		}
	})
}

// A plugin that never says that it holds what it was given gets it at each look, and
// does not fill the log.
func TestADestinationThatSaysTheWrongVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		out := &teller{holds: map[string]uint64{}}
		out.set(func(context.Context, sink.Delivery) error {
			go func() { time.Sleep(time.Millisecond); out.change(func() { out.holds["a"] = 0 }) }()
			return nil
		})
		b := start(t, sink.WorkerConfig{
			Sink: out, ReadBack: sink.ReadBack{Regularly: true},
			Events: event.NewBus(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn})), time.Now),
		}, newRecords())
		b.refresh("a")
		b.looking(time.Hour)
		b.stop()
		if n, lines := out.tried(), bytes.Count(log.Bytes(), []byte("\n")); n < 100 || n > 130 || lines < 3 || lines > 10 {
			t.Errorf("%d deliveries and %d warnings in an hour", n, lines)
		}
	})
}

// What is dead is delivered to nobody, so that nobody is told that it would be, and
// a destination that has let it go lacks nothing.
func TestADeadTokenThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &teller{holds: map[string]uint64{}}
		b := start(t, sink.WorkerConfig{Sink: out, ReadBack: sink.ReadBack{Regularly: true}}, newRecords())
		b.refresh("a")
		b.looking(49 * time.Hour)
		b.count()
		out.change(func() { delete(out.holds, "a") })
		b.looking(time.Hour)
		if n := b.count(); n[event.SinkMended] != 0 || out.tried() != 1 || b.Summary().Behind != 0 {
			t.Errorf("told: %v, %d deliveries, %+v", n, out.tried(), b.Summary())
		}
		b.refresh("a")
		pass(time.Second)
		if b.Status("a").Version != 2 {
			t.Error("the next version does not come")
		}
	})
}

// That a destination can't say what it holds is told once, and fails nothing.
func TestADestinationThatCantAnswer(t *testing.T) {
	for name, broken := range map[string]error{"fails": errors.New("down"), "does not know the call": sdk.ErrUnimplemented} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				out := &teller{holds: map[string]uint64{}, broken: broken}
				b := start(t, sink.WorkerConfig{Sink: out, ReadBack: sink.ReadBack{Regularly: true}}, newRecords())
				for i := range 100 {
					b.refresh(fmt.Sprint("a", i))
				}
				b.looking(time.Hour)
				if s := b.Summary(); out.tried() != 100 || s.Behind != 0 || s.Failing != 0 {
					t.Errorf("%d deliveries, %+v", out.tried(), s)
				}
				n, want := b.count(), map[bool]int{true: 1, false: 0}[name == "fails"]
				if n[event.SinkUnseen] != want || n[event.DeliveryFailed] != 0 {
					t.Errorf("told: %v", n)
				}
				if most := 120 * 3; name == "fails" && out.asked > most {
					t.Errorf("it was asked %d times in an hour, want at most %d", out.asked, most)
				}
			})
		})
	}
}

// Two programs that write one file over and over do so no faster than the looks.
func TestNewsWithoutEndDoesNotSpin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &teller{holds: map[string]uint64{}}
		out.set(func(_ context.Context, d sink.Delivery) error {
			go func() {
				time.Sleep(10 * time.Millisecond)
				out.change(func() { delete(out.holds, "a") })
				out.news("a")
			}()
			return nil
		})
		b := start(t, sink.WorkerConfig{Sink: out, ReadBack: sink.ReadBack{Regularly: true}}, newRecords())
		b.refresh("a")
		b.looking(10 * time.Minute)
		if n := out.tried(); n < 10 || n > 50 {
			t.Errorf("%d deliveries in ten minutes", n)
		}
		out.set(nil)
	})
}
