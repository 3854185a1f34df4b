package store

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/record/recordtest"
)

// gate is a backend whose writes wait to be let through, or fail.
type gate struct {
	memoryBackend
	// arrived gets each transaction; pass lets it through with that outcome.
	arrived chan map[string][]byte
	pass    chan error
}

func newGate() *gate {
	return &gate{memoryBackend: memoryBackend{newState()}, arrived: make(chan map[string][]byte, 1), pass: make(chan error)}
}

func (g *gate) Update(c map[string][]byte) error {
	g.arrived <- c
	if err := <-g.pass; err != nil {
		return err
	}
	return g.memoryBackend.Update(c)
}

func numbered(account string, version uint64) Record {
	r := recordtest.Golden()
	r.Account, r.Version, r.Attempt, r.Grant = account, version, "", 1
	if version > 1 {
		r.Parent = r.Token.RefreshToken.Fingerprint() // the broker keeps its refresh tokens
	}
	return r
}

// Callers that come during a write share the next one; the refusal of one is
// not another's.
func TestWritesShareATransaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		e := newEngine(g.kept, g, Options{})
		var wg sync.WaitGroup
		outcome := make([]error, 10)
		start := func(n int, version uint64) {
			wg.Go(func() { outcome[n] = e.Commit(t.Context(), numbered(fmt.Sprint("account-", n), version)) })
			synctest.Wait()
		}
		start(0, 1)
		if got := len(<-g.arrived); got != 1 {
			t.Fatalf("a lone caller's transaction changes %d keys, want 1", got)
		}
		for n := 1; n < 10; n++ {
			version := uint64(1)
			if n == 5 {
				version = 7
			}
			start(n, version)
		}
		if err := e.MarkDelivered(t.Context(), Delivery{Sink: "bot", Account: "main", Version: 1}); err != nil {
			t.Fatal(err)
		}
		g.pass <- nil
		if got := len(<-g.arrived); got != 9 {
			t.Errorf("the second transaction changes %d keys, want 8 records and the delivery", got)
		}
		if _, err := e.Load(t.Context(), "account-1"); !errors.Is(err, ErrNotFound) {
			t.Errorf("a record is seen before it is durable (%v)", err)
		}
		g.pass <- nil
		wg.Wait()
		for n, err := range outcome {
			if n == 5 && !errors.Is(err, ErrConflict) || n != 5 && err != nil {
				t.Errorf("caller %d: %v", n, err)
			}
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Nothing is read that is not durable yet, and nobody waits to read.
func TestReadsDuringAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		e := newEngine(g.kept, g, Options{})
		go func() { <-g.arrived; g.pass <- nil }()
		if err := e.Commit(t.Context(), numbered("main", 1)); err != nil {
			t.Fatal(err)
		}
		go func() { <-g.arrived; g.pass <- nil }()
		if err := e.Intend(t.Context(), Intent{Account: "main", Attempt: "a", Version: 1}); err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		next := numbered("main", 2)
		next.Attempt = "a"
		go func() { done <- errors.Join(e.Commit(t.Context(), next), e.Commit(t.Context(), numbered("new", 1))) }()
		see := func(version uint64, accounts int, intent bool) {
			t.Helper()
			<-g.arrived
			r, err := e.Load(t.Context(), "main")
			if err != nil || r.Version != version {
				t.Errorf("version %d (%v) is read, want %d", r.Version, err, version)
			}
			list, err := e.Heads(t.Context())
			if err != nil || len(list) != accounts || list[0].Version != version {
				t.Errorf("listed %d records (%v), want %d", len(list), err, accounts)
			}
			if _, ok, err := e.Intent(t.Context(), "main"); err != nil || ok != intent {
				t.Errorf("an intent stands is %v (%v), want %v", ok, err, intent)
			}
			g.pass <- nil
		}
		see(1, 1, true)
		see(2, 1, false)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// The ledger waits a second for company, and arms no timer without a reason.
func TestLedgerFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory()
		stored := func() bool {
			m.kept.mu.RLock()
			defer m.kept.mu.RUnlock()
			_, ok := m.kept.ledger["bot"]["main"]
			return ok
		}
		idle := func() bool {
			m.mu.Lock()
			defer m.mu.Unlock()
			return m.flush == nil && len(m.pending) == 0
		}
		deliver := func(version uint64) {
			t.Helper()
			if err := m.MarkDelivered(t.Context(), Delivery{Sink: "bot", Account: "main", Version: version}); err != nil {
				t.Fatal(err)
			}
		}
		deliver(1)
		time.Sleep(flushAfter - time.Nanosecond)
		synctest.Wait()
		if stored() {
			t.Error("stored before the second is over")
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if !stored() || !idle() {
			t.Errorf("after a second: stored is %v, idle is %v", stored(), idle())
		}
		deliver(2)
		if err := m.Commit(t.Context(), numbered("main", 1)); err != nil {
			t.Fatal(err)
		}
		if !idle() {
			t.Error("a timer runs although the delivery rode along")
		}
		deliver(3)
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		line, err := m.Reopen().Delivery(t.Context(), "bot", "main")
		if err != nil || line.Version != 3 {
			t.Errorf("ledger after Close: %+v, %v", line, err)
		}
	})
}

// The store itself works inside a bubble of simulated time.
func TestJournalInABubble(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for n := range 50 {
			wg.Go(func() {
				if err := s.Commit(t.Context(), numbered(fmt.Sprint("account-", n), 1)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if err := s.MarkDelivered(t.Context(), Delivery{Sink: "bot", Account: "main", Version: 1}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// After a failed write nothing has changed, each caller of it is told why, and the next
// one is tried anew.
func TestFailedWriteChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		e := newEngine(g.kept, g, Options{})
		go func() { <-g.arrived; g.pass <- nil }()
		if err := e.Commit(t.Context(), numbered("account-0", 1)); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		outcome := make([]error, 3)
		for n := range outcome {
			wg.Go(func() { outcome[n] = e.Commit(t.Context(), numbered(fmt.Sprint("account-", n), uint64(2-min(n, 1)))) })
		}
		synctest.Wait()
		for range 2 { // the one that came first, and those that came meanwhile
			<-g.arrived
			g.pass <- ErrDisk
		}
		wg.Wait()
		for n, err := range outcome {
			if !errors.Is(err, ErrDisk) {
				t.Errorf("caller %d: %v", n, err)
			}
		}
		if list, err := e.Heads(t.Context()); err != nil || len(list) != 1 || list[0].Version != 1 {
			t.Errorf("listed %d records (%v)", len(list), err)
		}
		go func() { <-g.arrived; g.pass <- nil }()
		if err := e.Commit(t.Context(), numbered("account-0", 2)); err != nil {
			t.Error(err)
		}
	})
}

// Two changes of one account never share a transaction: the second is judged by what
// the first has left.
func TestOneSubjectATransaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		e := newEngine(g.kept, g, Options{})
		outcome := make(chan error, 3)
		start := func(account string, version uint64) {
			go func() { outcome <- e.Commit(t.Context(), numbered(account, version)) }()
			synctest.Wait()
		}
		start("other", 1)
		start("main", 1)
		start("main", 2)
		for n, want := range []string{"accounts/other/record", "accounts/main/record", "accounts/main/record"} {
			if c := <-g.arrived; len(c) != 1 || c[want] == nil {
				t.Errorf("transaction %d changes %d keys, want %s alone", n, len(c), want)
			}
			g.pass <- nil
		}
		for range 3 {
			if err := <-outcome; err != nil {
				t.Error(err)
			}
		}
	})
}
