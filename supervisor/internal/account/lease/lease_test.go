package lease_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/account"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/account/lease"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

type desk struct{ notes int }

func record(version uint64) store.Record {
	return store.Record{Version: version, Token: sdk.Token{RefreshToken: sdk.NewSecret("refresh-token")}}
}

func newAccount() *lease.Account[desk] {
	a := &lease.Account[desk]{}
	l, _ := a.Try()
	defer l.End()
	_, _ = l.Happened(account.Reread{Record: record(1)}, time.Now())
	return a
}

// TestOneHasTheLease: of many who try at once one has it, and the next only once it
// was given back, with what the one before him has left.
func TestOneHasTheLease(t *testing.T) {
	a := newAccount()
	won := make(chan *lease.Lease[desk], 100)
	var all sync.WaitGroup
	for range cap(won) {
		all.Go(func() {
			if l, ok := a.Try(); ok {
				won <- l
			}
		})
	}
	all.Wait()
	if len(won) != 1 || !a.Taken() {
		t.Fatalf("%d have the lease, taken: %v", len(won), a.Taken())
	}
	first := <-won
	first.Desk().notes++
	first.End()
	next, ok := a.Try()
	if !ok || next.Desk().notes != 1 {
		t.Fatalf("the lease that was given back: %v, %d notes", ok, next.Desk().notes)
	}
}

// TestNothingChangesAfterTheEnd: a lease that was given back changes nothing, and
// takes nothing from who has it then.
func TestNothingChangesAfterTheEnd(t *testing.T) {
	a := newAccount()
	over, _ := a.Try()
	over.End()
	now, ok := a.Try()
	if !ok {
		t.Fatal("the lease can't be taken again")
	}
	over.End()
	if !a.Taken() {
		t.Error("a lease that is over has ended another one")
	}
	taken := account.Taken{Record: record(2)}
	if _, err := over.Happened(taken, time.Now()); !errors.Is(err, lease.ErrOver) || a.State().Record().Version != 1 {
		t.Errorf("after the end: %v, version %d", err, a.State().Record().Version)
	}
	now.Desk().notes = 1
	if over.Desk().notes++; over.Desk().notes != 0 || now.Desk().notes != 1 {
		t.Error("a lease that is over reaches the desk of the next")
	}
	seen := a.State()
	if does, err := now.Happened(taken, time.Now()); err != nil || does != account.Plan || a.State().Record().Version != 2 {
		t.Errorf("with the lease: %v, %v, version %d", does, err, a.State().Record().Version)
	}
	if seen.Record().Version != 1 {
		t.Error("what was seen before has changed")
	}
	if _, err := now.Happened(account.Calls{}, time.Now()); !errors.Is(err, account.ErrImpossible) || a.State().Record().Version != 2 {
		t.Errorf("what can't be: %v", err)
	}
}
