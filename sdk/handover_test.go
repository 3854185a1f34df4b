package sdk

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/lockloan"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
)

// told is a log that does something with each line.
type told struct {
	slog.Handler
	do func()
}

func (l told) Handle(context.Context, slog.Record) error { l.do(); return nil }
func (told) Enabled(context.Context, slog.Level) bool    { return true }

// An attempt that comes while an orphan gives back the locks of what has not come is
// not sent: other programs may have its lock by now.
func TestNothingBeginsOnceLocksAreGivenBack(t *testing.T) {
	lender, theirs, err := lockloan.Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	locks, err := lockloan.Borrow(int(theirs.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	lock, err := os.Create(filepath.Join(t.TempDir(), "lock"))
	if err == nil {
		err = lender.LendLock("under way", int(lock.Fd()))
	}
	if err != nil {
		t.Fatal(err)
	}
	locks.Claim("under way") // so that there is something to offer
	var late []error
	var s *Server
	log := slog.New(told{slog.DiscardHandler, func() { // the offer fails, which is told while it is made
		_, err := s.attempt(t.Context(), spool.KindRefresh, Attempt{ID: "late"}, "main", func(context.Context) (Token, error) {
			return Token{}, errors.New("sent")
		})
		late = append(late, err)
	}})
	sp, err := spool.Open(t.Context(), t.TempDir(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer sp.Close()
	s = NewServer(nil, func() (*spool.Spool, error) { return sp, nil }, log)
	s.locks, s.estate = locks, estate{dirs: []string{filepath.Join(t.TempDir(), "missing")}, wait: 1}
	s.Drain()
	if len(late) != 1 || KindOf(fromStatus(late[0])) != KindNotSent || len(sp.Unsettled()) != 0 {
		t.Errorf("an attempt that came meanwhile: %v; the spool holds %+v", late, sp.Unsettled())
	}
}
