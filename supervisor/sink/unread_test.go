package sink_test

import (
	"context"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/readback"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// shelf is a receiver of which what it holds can be read, or not.
type shelf struct {
	receiver
	hangs  atomic.Pointer[chan struct{}]
	seeing sync.Mutex
	token  string // that another program has put there; "": there is none
	blind  error
}

func (s *shelf) see(token string, blind error) {
	s.seeing.Lock()
	defer s.seeing.Unlock()
	s.token, s.blind = token, blind
}

func (s *shelf) Holds(context.Context, readback.Question) (readback.Held, error) {
	if hangs := s.hangs.Load(); hangs != nil {
		<-*hangs
	}
	s.seeing.Lock()
	defer s.seeing.Unlock()
	switch {
	case s.blind != nil:
		return readback.Held{}, fmt.Errorf("read /out/a.json: %w", s.blind)
	case s.token == "":
		return readback.Held{}, sdk.ErrNothingStored
	}
	return readback.Held{
		File: "/out/a.json", At: time.Now(),
		Document: format.Document{RefreshToken: sdk.NewSecret(s.token), Expiry: time.Now().Add(time.Minute)},
	}, nil
}

// guarded is a worker of a sink that is read before it is written over.
func guarded(t *testing.T, out sink.Sink, r *records) *bench {
	return start(t, sink.WorkerConfig{Sink: out, ReadBack: sink.ReadBack{
		BeforeWriting: func(store.Record) bool { return true }, Unread: true,
	}}, r)
}

// What fails for a moment, as when there is no descriptor left, says nothing of what
// stands there: it is read again before it is written over.
func TestWhatCouldNotBeReadIsNotWrittenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &shelf{}
		b := guarded(t, out, newRecords())
		b.refresh("a")
		pass(time.Second)
		if n := out.tried(); n != 1 {
			t.Fatalf("%d deliveries to where nothing ever was", n)
		}
		out.see("of another program", syscall.EMFILE)
		b.refresh("a")
		pass(time.Second)
		out.see("of another program", nil)
		pass(time.Hour)
		if n := out.tried(); n != 1 {
			t.Errorf("a token that nobody has read was written over")
		}
		if s := b.Summary(); len(s.Unknown) != 1 {
			t.Errorf("once it can be read: %+v", s)
		}
	})
}

// What can never be read is told, and a person can have it written over; once it can be
// read, nobody has to.
func TestWhatCanNeverBeReadIsToldAndHasAWayOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &shelf{blind: syscall.EIO}
		b := guarded(t, out, newRecords())
		b.refresh("a")
		pass(time.Hour)
		s := b.Summary()
		if n := b.count()[event.DeliveryFailed]; n == 0 || s.Failing != 1 || out.tried() != 0 ||
			!strings.Contains(s.LastError, "sinks redeliver bot a --force") || !strings.Contains(s.LastError, "input/output error") {
			t.Errorf("told %d times, %d deliveries: %+v", n, out.tried(), s)
		}
		if _, err := b.Overwrite(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		if v := out.versions("a"); len(v) != 1 {
			t.Errorf("a person wanted it written over: versions %v", v)
		}
		b.refresh("a")
		out.see("", nil)
		pass(2 * time.Minute)
		if s := b.Summary(); s.Failing != 0 || s.UpToDate != 1 {
			t.Errorf("once it can be read: %+v", s)
		}
	})
}

// Where its folder is missing that alone is said, as there is nothing to write over.
func TestAMissingFolderIsNotSaidToHoldAToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &shelf{blind: fs.ErrNotExist}
		b := guarded(t, out, newRecords())
		b.refresh("a")
		pass(time.Minute)
		if s := b.Summary(); s.Failing != 1 || strings.Contains(s.LastError, "--force") {
			t.Errorf("%+v", s)
		}
		out.see("", nil)
		pass(2 * time.Minute)
		if v := out.versions("a"); len(v) != 1 {
			t.Errorf("once it is there: versions %v", v)
		}
	})
}
