package spool

import (
	"fmt"
	"os"
	"testing"

	"pgregory.net/rapid"

	"github.com/tokenkeeper/tokenkeeper/sdk/files/filestest"
)

// In any order of attempts, records, settlements and restarts, the spool holds
// exactly what was put there and not settled.
func TestModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		dir := filestest.Scratch(t) // in memory: no power is lost here
		defer func() { _ = os.RemoveAll(dir) }()
		type state struct {
			account, kind, answer string
			slot                  *Slot
		}
		var (
			s   *Spool
			err error
		)
		model := map[string]*state{} // by attempt
		reopen := func() {
			if s != nil {
				_ = s.Close()
			}
			if s, err = Open(t.Context(), dir, 1); err != nil {
				r.Fatal(err)
			}
			for id, want := range model {
				slot, known, err := s.Begin(Header{Attempt: id, Account: want.account})
				if err != nil || !known {
					r.Fatalf("attempt %s is lost: %v", id, err)
				}
				want.slot = slot
			}
		}
		reopen()
		defer func() { _ = s.Close() }()
		next := 0
		pick := func() string { return fmt.Sprint(rapid.IntRange(0, max(next-1, 0)).Draw(r, "attempt")) }
		r.Repeat(map[string]func(*rapid.T){
			"begin": func(r *rapid.T) {
				account := rapid.SampledFrom([]string{"x", "y", "z"}).Draw(r, "account")
				kind := rapid.SampledFrom([]string{KindRefresh, KindMint, KindExchange}).Draw(r, "kind")
				busy := false
				for _, st := range model {
					code := kind == KindExchange && st.kind != KindExchange // beside an attempt that is under way
					busy = busy || st.account == account && !code
				}
				id := fmt.Sprint(next)
				slot, known, err := s.Begin(Header{Attempt: id, Account: account, Kind: kind})
				if known || (err != nil) != busy {
					r.Fatalf("known %t, account busy %t, %v", known, busy, err)
				}
				if err == nil {
					model[id] = &state{account: account, kind: kind, slot: slot}
					next++
				}
			},
			"record": func(r *rapid.T) {
				st, ok := model[pick()]
				if !ok || st.answer != "" {
					r.Skip("no such attempt")
				}
				st.answer = rapid.StringN(1, 50, 5000).Draw(r, "answer")
				if err := st.slot.Record([]byte(st.answer)); err != nil {
					r.Fatal(err)
				}
			},
			"file fails": func(r *rapid.T) {
				if st, ok := model[pick()]; ok && st.answer == "" {
					_ = st.slot.file.Close()
				}
			},
			"settle": func(r *rapid.T) {
				id := pick()
				if err := s.Settle(id, rapid.Bool().Draw(r, "keep")); err != nil {
					r.Fatal(err)
				}
				delete(model, id)
			},
			"restart": func(*rapid.T) { reopen() },
			"": func(r *rapid.T) {
				if n := len(s.Unsettled()); n != len(model) {
					r.Fatalf("%d unsettled, want %d", n, len(model))
				}
				for id, want := range model {
					got, ok := want.slot.Answer()
					if ok != (want.answer != "") || string(got) != want.answer {
						r.Fatalf("attempt %s has %q, want %q", id, got, want.answer)
					}
				}
			},
		})
	})
}
