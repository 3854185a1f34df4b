package sink_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// placed is a receiver at an address.
type placed struct {
	listener
	address string
}

func (p *placed) Address() string { return p.address }

func TestASinkWithAnotherAddressGetsTheNewest(t *testing.T) {
	here, elsewhere := sink.AddressOf("test", "here"), sink.AddressOf("test", "elsewhere")
	for name, c := range map[string]struct {
		is       sink.Sink // after the restart
		older    bool      // the ledger was written by a program that noted no address
		repeated bool
	}{
		"the same":                          {&placed{address: here}, false, false},
		"another":                           {&placed{address: elsewhere}, false, true},
		"the same, after an upgrade":        {&placed{address: here}, true, false},
		"a consumer that names himself":     {&bot{name: "first"}, false, true},
		"nobody who would name himself":     {&bot{}, false, false},
		"a sink without an address":         {&receiver{}, false, false},
		"not told of in an older program's": {&placed{address: elsewhere}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRecords()
				b := start(t, sink.WorkerConfig{Sink: &placed{address: here}}, r)
				b.refresh("a")
				pass(time.Minute)
				b.stop()
				if c.older {
					r.set(func(r *records) {
						line := r.ledger["bot"]["a"]
						line.Consumer = ""
						r.ledger["bot"]["a"] = line
					})
				}
				b = start(t, sink.WorkerConfig{Sink: c.is}, r)
				b.looking(time.Hour)
				got := map[bool]int{true: 1}[c.repeated]
				if n := b.count()[event.Delivered]; n != got || b.Status("a").Version != 1 {
					t.Errorf("%d deliveries, want %d; %+v", n, got, b.Status("a"))
				}
			})
		})
	}
}

// Until it has it, it counts as behind, also after one more restart; and going back
// brings the first place what it has missed.
func TestWhatAnotherAddressLacksCountsAsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecords()
		first, second := &placed{address: "at 1"}, &placed{address: "at 2"}
		b := start(t, sink.WorkerConfig{Sink: first}, r)
		b.refresh("a")
		pass(time.Minute)
		second.set(func(context.Context, sink.Delivery) error { return errors.New("no such door") })
		for range 2 {
			b.stop()
			b = start(t, sink.WorkerConfig{Sink: second}, r)
			pass(time.Second)
			if st, s := b.Status("a"), b.Summary(); st.Version != 0 || s.Behind != 1 || s.UpToDate != 0 {
				t.Errorf("%+v, %+v", st, s)
			}
		}
		second.set(nil)
		b.refresh("a")
		pass(time.Minute)
		b.stop()
		b = start(t, sink.WorkerConfig{Sink: first}, r)
		pass(time.Second)
		if one, two := first.versions("a"), second.versions("a"); !slices.Equal(one, []uint64{1, 2}) || !slices.Equal(two, []uint64{2}) {
			t.Errorf("%v came to the first and %v to the second", one, two)
		}
		if s := b.Summary(); s.Behind != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// Who is told at another address hears of what lasts, and of nothing that is over.
func TestAnotherAddressIsToldOfWhatLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, on := newRecords(), newBoard()
		b := start(t, alertsOnly(&placed{address: "at 1"}, on), r)
		b.raise(on, "lasts", event.AlertRaised)
		b.raise(on, "over", event.AlertRaised)
		pass(time.Minute)
		b.raise(on, "over", event.AlertRecovered)
		pass(time.Minute)
		b.stop()
		for address, told := range map[string]int{"at 1": 0, "at 2": 1} {
			out := &placed{address: address}
			b = start(t, alertsOnly(out, on), r)
			pass(time.Minute)
			if heard, _ := out.take(); len(heard) != told || told == 1 && heard[0].Alert.Account != "lasts" {
				t.Errorf("%s: %+v", address, heard)
			}
			b.stop()
			r.set(func(r *records) {
				r.ledger["bot"][string(event.NeedsLogin)+":lasts"] = lineAt("at 1", r.ledger["bot"][string(event.NeedsLogin)+":lasts"])
			})
		}
	})
}

func lineAt(address string, line store.Delivery) store.Delivery {
	line.Consumer = address
	return line
}

func TestURLAddress(t *testing.T) {
	for text, want := range map[string]string{
		"https://bots.example/token":                         "https://bots.example/token",
		"https://user:CANARY@bots.example/token":             "https://bots.example/token",
		"https://bots.example/token?bot=a&api_key=CANARY":    "https://bots.example/token?bot=a",
		"telegram://CANARY@telegram?chats=@me":               "telegram://telegram?chats=%40me",
		"smtp://me:CANARY@mail.example:587/?to=me@x.example": "smtp://mail.example:587/?to=me%40x.example",
		"127.0.0.1:6379": "127.0.0.1:6379",
		"projects/one":   "projects/one",
	} {
		if got := sink.URLAddress(text); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	if a, b := sink.AddressOf("exec", "a", "b"), sink.AddressOf("exec", "ab"); a == b || len(a) != len("at ")+16 {
		t.Errorf("%q and %q", a, b)
	}
}

func TestCommandAddress(t *testing.T) {
	for text, want := range map[string]string{
		"/usr/local/bin/push --room 5 -v":                                 "/usr/local/bin/push --room 5 -v",
		"push --password=CANARY --room=5":                                 "push --password --room=5",
		"push --password CANARY --room 5":                                 "push --password --room 5",
		"push -api_key CANARY":                                            "push -api_key",
		"push --password --room 5":                                        "push --password --room 5",
		"env API_KEY=CANARY push":                                         "env API_KEY push",
		"push https://me:CANARY@bots.example/t --to=https://me:CANARY@b/": "push https://bots.example/t --to=https://b/",
		"push a=b=c password":                                             "push a=b=c password",
	} {
		if got := strings.Join(sink.CommandAddress(strings.Fields(text)), " "); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
