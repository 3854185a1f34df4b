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
	rest   bool   // it is cut off, and token is what stands in it whole
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
	case s.rest:
		return readback.Held{File: "/out/a.json", At: time.Now(), Rest: true, Document: format.Document{RefreshToken: sdk.NewSecret(s.token)}},
			fmt.Errorf("read /out/a.json: %w", format.ErrUnreadable)
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

// What is cut off may be the only copy of a login: as an unknown token it is neither
// written over nor passed over in silence, and a person can have it so. What is left of
// our own token is put right.
func TestWhatIsCutOffIsNotWrittenOver(t *testing.T) {
	for name, c := range map[string]struct {
		token string // that stands there whole
		over  bool
	}{
		"nothing whole": {"", false}, "an unknown one": {"of another program", false}, "ours": {"refresh-a-1", true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				out := &shelf{}
				b := guarded(t, out, newRecords())
				b.refresh("a")
				pass(time.Second)
				time.Sleep(time.Minute)
				out.seeing.Lock()
				out.token, out.rest = c.token, true
				out.seeing.Unlock()
				if _, err := b.Redeliver(t.Context(), "a"); err != nil {
					t.Fatal(err)
				}
				pass(time.Minute)
				if n := out.tried(); (n == 2) != c.over {
					t.Errorf("%d deliveries", n)
				}
				if s := b.Summary(); (len(s.Unknown) == 0) != c.over {
					t.Errorf("%+v", s)
				} else if name == "nothing whole" {
					for _, want := range []string{"/out/a.json is cut off or damaged", "tokenkeeper import a /out/a.json --force", "sinks redeliver bot a --force", "/out/a.json.damaged"} {
						if !strings.Contains(s.UnknownError, want) {
							t.Errorf("%q is not in: %s", want, s.UnknownError)
						}
					}
				}
				if _, err := b.Overwrite(t.Context(), "a"); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}
