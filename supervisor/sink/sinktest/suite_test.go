package sinktest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/readback"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/sinktest"
)

// defect is what a sink in memory does wrong.
type defect string

const (
	none      defect = "none"
	loses     defect = "says that it delivered and did not"
	strips    defect = "leaves the refresh token out"
	remembers defect = "sends an earlier refresh token along"
	quotes    defect = "quotes the token in an error"
	hides     defect = "hides the token in an error"
	absent    defect = "says of a failure that nobody is there"
	deaf      defect = "does not end with its context"
	stale     defect = "sends an old token in a test"
	idle      defect = "tests nothing"
	gossip    defect = "sends a token with a notice"
	silent    defect = "loses notices"
	stuck     defect = "stays broken"
	alike     defect = "gives every consumer the same name"
	trusting  defect = "holds whatever it was given once"
	unstated  defect = "says nothing of some cases"
)

// box is a sink and its destination in memory.
type box struct {
	defect defect

	mu      sync.Mutex
	there   bool
	hangs   bool
	broken  bool
	got     []string
	refresh string
	starts  int
	held    map[string]uint64
}

func (b *box) Recipient(context.Context) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.defect == alike {
		return "it", nil
	}
	return fmt.Sprint("number ", b.starts), nil
}

func (b *box) Holds(_ context.Context, q readback.Question) (readback.Held, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.defect == trusting {
		return readback.Held{Told: true, Version: q.Wrote.Version}, nil
	}
	version, has := b.held[q.Account]
	if !has {
		return readback.Held{}, sdk.ErrNothingStored
	}
	return readback.Held{Told: true, Version: version}, nil
}

// hiding holds what its text does not tell.
type hiding struct{ what sink.Delivery }

func (*hiding) Error() string { return "failed" }

func (b *box) put(ctx context.Context, content string, d sink.Delivery) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case !b.there && b.defect == quotes:
		return errors.New("nobody took " + content)
	case !b.there && b.defect == hides:
		return &hiding{d}
	case !b.there:
		return sink.ErrAbsent
	case b.hangs:
		if b.defect == deaf {
			ctx = context.Background()
		}
		b.mu.Unlock()
		defer b.mu.Lock()
		ctx, cancel := context.WithTimeout(ctx, map[bool]time.Duration{true: time.Minute, false: 50 * time.Millisecond}[b.defect == deaf])
		defer cancel()
		<-ctx.Done()
		return errors.New("no answer")
	case b.broken && b.defect == absent:
		return sink.ErrAbsent
	case b.broken:
		return errors.New("broken")
	}
	if b.defect != loses {
		b.got = append(b.got, content)
	}
	return nil
}

func (b *box) Deliver(ctx context.Context, d sink.Delivery) error {
	content := d.Document.AccessToken.Reveal()
	if b.defect != strips {
		content += d.Document.RefreshToken.Reveal()
	}
	if b.defect == remembers {
		content += b.refresh
		b.mu.Lock()
		b.refresh = d.Document.RefreshToken.Reveal()
		b.mu.Unlock()
	}
	err := b.put(ctx, content, d)
	if err == nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.held[d.Document.Account] = d.Version
	}
	return err
}

func (b *box) Notify(ctx context.Context, n sink.Notice) error {
	text, err := json.Marshal(n)
	if err != nil || b.defect == silent {
		return err
	}
	if b.defect == gossip {
		text = append(text, sinktest.Bare("acct", 1).Document.AccessToken.Reveal()...)
	}
	return b.put(ctx, string(text), sink.Delivery{})
}

func (b *box) Test(ctx context.Context, d sink.Delivery) (string, error) {
	switch b.defect {
	case idle:
		return "nothing", nil
	case stale:
		d = sinktest.Full(d.Document.Account, d.Version-1)
		d.Document.AccessToken = sinktest.Full(d.Document.Account, 77).Document.AccessToken
		return "sent it", b.Deliver(ctx, d)
	}
	return "sent a word", b.put(ctx, "word", sink.Delivery{})
}

func (b *box) set(change func()) func(*testing.T) {
	return func(*testing.T) {
		b.mu.Lock()
		defer b.mu.Unlock()
		change()
	}
}

func suite(d defect) sinktest.Suite {
	s := sinktest.Suite{Patience: time.Second, Never: map[sinktest.Case]string{}, New: func(*testing.T) sinktest.Destination {
		b := &box{defect: d, held: map[string]uint64{}}
		return sinktest.Destination{
			Sink:    b,
			Appear:  b.set(func() { b.there = true }),
			Anew:    b.set(func() { b.starts++ }),
			Lose:    b.set(func() { clear(b.held); b.got = nil }),
			Hang:    b.set(func() { b.hangs = true }),
			Mend:    b.set(func() { b.hangs, b.broken = false, d == stuck }),
			Timeout: 50 * time.Millisecond,
			Received: func(*testing.T) []string {
				b.mu.Lock()
				defer b.mu.Unlock()
				return append([]string(nil), b.got...)
			},
			Faults: map[string]sinktest.Fault{"broken": {Case: sinktest.WrongAck, Set: b.set(func() { b.broken = true })}},
		}
	}}
	if d != unstated {
		for _, c := range []sinktest.Case{
			sinktest.HTTPRedirect, sinktest.HTTPClientError, sinktest.HTTPServerError, sinktest.ResetInAnswer,
			sinktest.LateAnswer, sinktest.SlowReader, sinktest.NoAck, sinktest.FullDisk,
		} {
			s.Never[c] = "it is in memory"
		}
	}
	return s
}

const variable = "SINKTEST_DEFECT"

// TestOneSink is run by TestEveryDefectIsFound in a process of its own.
func TestOneSink(t *testing.T) {
	d := defect(os.Getenv(variable))
	if d == "" {
		d = none
	}
	sinktest.Run(t, suite(d))
}

func TestEveryDefectIsFound(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for what never comes")
	}
	for d, want := range map[defect]string{
		none: "", loses: "/success", strips: "/success", remembers: "/no_refresh_token", quotes: "/missing,_then_appearing",
		hides: "/missing,_then_appearing", absent: "/wrong_acknowledgement", deaf: "/hang", stale: "/test", idle: "/test",
		gossip: "/notices", silent: "/notices", stuck: "/wrong_acknowledgement", unstated: " (",
		alike: "/another_consumer", trusting: "/a_destination_that_loses",
	} {
		t.Run(string(d), func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(os.Args[0], "-test.run=^TestOneSink$", "-test.count=1")
			cmd.Env = append(os.Environ(), variable+"="+string(d))
			out, err := cmd.CombinedOutput()
			if want == "" {
				if err != nil {
					t.Errorf("a sink without a defect: %v\n%s", err, out)
				}
				return
			}
			if err == nil || !strings.Contains(string(out), "--- FAIL: TestOneSink"+want) {
				t.Errorf("it was not found in %s: %v\n%s", want, err, out)
			}
		})
	}
}
