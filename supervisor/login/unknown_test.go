package login

import (
	"errors"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store/storetest"
)

// TestLoginOfUnknownOutcome: the store does not say whether it has taken the beginning of
// a login, or its end. That is read back before a person is told.
func TestLoginOfUnknownOutcome(t *testing.T) {
	for how, made := range map[storetest.Loss]bool{storetest.Before: false, storetest.After: true, storetest.Late: true} {
		f, l := begunAt(t, &idle{})
		s := &storetest.Lossy{Store: f.cfg.Store}
		f.cfg.Store, f.open.cfg.Store = s, s
		s.Lose(how)
		if _, err := f.CancelLogin(t.Context(), "one"); (err == nil) != made || err != nil && !errors.Is(err, store.ErrUnknown) {
			t.Errorf("its end, lost %s: %v", how, err)
		}
		if open := f.open.At("one", time.Now()) != nil; open == made {
			t.Errorf("its end, lost %s: open here: %t", how, open)
		}
		if _, err := f.CancelLogin(t.Context(), "one"); (err == nil) == made {
			t.Errorf("its end once more, lost %s at first: %v", how, err)
		}
		next := l.Stored()
		next.State = "state-2"
		s.Lose(how)
		if got, err := f.openWith(t.Context(), next); (err == nil) != made || got.Earlier {
			t.Errorf("its beginning, lost %s: %+v, %v", how, got, err)
		}
	}
}
