package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

func open(t *testing.T, dir string, slots int) *Spool {
	t.Helper()
	s, err := Open(t.Context(), dir, slots)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func begin(t *testing.T, s *Spool, attempt, account string) *Slot {
	t.Helper()
	slot, known, err := s.Begin(Header{Attempt: attempt, Account: account, Kind: KindRefresh, Version: 7, Fingerprint: "f00d"})
	if err != nil {
		t.Fatal(err)
	}
	if known {
		t.Fatalf("attempt %s is known", attempt)
	}
	return slot
}

func record(t *testing.T, slot *Slot, answer string) {
	t.Helper()
	if err := slot.Record([]byte(answer)); err != nil {
		t.Fatal(err)
	}
}

// image is what a killed process leaves: the directory as it stands, nothing
// closed.
func image(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

func glob(t *testing.T, dir, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func wantAnswer(t *testing.T, s *Spool, attempt, account, want string) *Slot {
	t.Helper()
	slot, known, err := s.Begin(Header{Attempt: attempt, Account: account})
	if err != nil || !known {
		t.Fatalf("attempt %s: known %t, %v", attempt, known, err)
	}
	if got, ok := slot.Answer(); !ok || string(got) != want {
		t.Fatalf("attempt %s: answer %q %t, want %q", attempt, got, ok, want)
	}
	return slot
}

// However far an attempt came, its process's death loses nothing of it.
func TestEachStepSurvivesDeath(t *testing.T) {
	dir := t.TempDir()
	before := time.Now()
	s := open(t, dir, 1)
	slot := begin(t, s, "a", "main")
	step := func(want Progress) {
		t.Helper()
		next := open(t, image(t, dir), 1)
		entries := next.Unsettled()
		if len(entries) != 1 || entries[0].Progress != want {
			t.Fatalf("found %+v, want progress %s", entries, want)
		}
		e := entries[0]
		if e.Header != (Header{Attempt: "a", Account: "main", Kind: KindRefresh, Version: 7, Fingerprint: "f00d"}) {
			t.Errorf("header %+v", e.Header)
		}
		if e.BegunAt.Before(before.Round(0)) || e.BegunAt.After(time.Now()) {
			t.Errorf("begun at %s", e.BegunAt)
		}
		if want == Answered {
			wantAnswer(t, next, "a", "main", "the answer")
		}
	}
	step(Ready)
	for _, p := range []Progress{Begun, Ready, Sent} {
		if err := slot.Advance(p); err != nil {
			t.Fatal(err)
		}
		step(p)
	}
	sentOnce := func(want Progress) {
		t.Helper()
		for _, p := range []Progress{Begun, Ready, Sent} {
			if err := slot.Advance(p); !errors.Is(err, ErrSent) {
				t.Errorf("from %s to %s: %v", want, p, err)
			}
			step(want)
		}
	}
	sentOnce(Sent)
	record(t, slot, "the answer")
	step(Answered)
	sentOnce(Answered)
	if err := s.Settle("a", false); err != nil {
		t.Fatal(err)
	}
	if entries := open(t, image(t, dir), 1).Unsettled(); len(entries) != 0 {
		t.Errorf("settled, and still %+v", entries)
	}
}

// A code dies before a refresh that hangs has ended: its exchange has a slot beside
// it. Nothing begins beside the exchange, in a later process either.
func TestACodeHasASlotBesideARefresh(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1)
	begun := func(attempt, kind string) error {
		_, _, err := s.Begin(Header{Attempt: attempt, Account: "main", Kind: kind})
		return err
	}
	if err := begun("refresh", KindRefresh); err != nil {
		t.Fatal(err)
	}
	if err := begun("code", KindExchange); err != nil {
		t.Fatalf("a code beside a refresh: %v", err)
	}
	for _, again := range []bool{false, true} {
		if again {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, dir, 1)
		}
		for _, kind := range []string{KindRefresh, KindRenew, KindMint, KindLogin, KindExchange} {
			if err := begun("other", kind); !errors.Is(err, ErrUnsettled) {
				t.Errorf("a %s beside both: %v", kind, err)
			}
		}
		if n := len(s.Unsettled()); n != 2 {
			t.Errorf("%d are unsettled, want both", n)
		}
	}
	if err := s.Settle("refresh", false); err != nil {
		t.Fatal(err)
	}
	if err := begun("other", KindRefresh); !errors.Is(err, ErrUnsettled) {
		t.Errorf("a refresh beside a code: %v", err)
	}
	if err := s.Settle("code", false); err != nil {
		t.Fatal(err)
	}
	if err := begun("other", KindRefresh); err != nil {
		t.Errorf("once both are settled: %v", err)
	}
}

func TestUnsettledBlocksItsAccountAlone(t *testing.T) {
	s := open(t, t.TempDir(), 1)
	begin(t, s, "a", "main")
	if _, _, err := s.Begin(Header{Attempt: "b", Account: "main"}); !errors.Is(err, ErrUnsettled) {
		t.Errorf("a second attempt of the account: %v", err)
	}
	begin(t, s, "c", "other") // more than was preallocated: the spool grows
	if got := s.Unsettled(); len(got) != 2 || got[0].Attempt != "a" {
		t.Errorf("unsettled, oldest first: %+v", got)
	}
	for range 2 {
		if err := s.Settle("a", false); err != nil {
			t.Fatal(err)
		}
	}
	begin(t, s, "b", "main")
}

// A full disk can't refuse an answer: the blocks are there before, and stay.
func TestNothingIsAllocatedForAnAnswer(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 2)
	usage := func() (total [2]int64) {
		for _, name := range glob(t, dir, slotPrefix+"*") {
			info, err := os.Stat(name)
			if err != nil {
				t.Fatal(err)
			}
			total[0] += info.Size()
			total[1] += info.Sys().(*syscall.Stat_t).Blocks
		}
		return total
	}
	before := usage()
	if before[0] != 2*slotSize {
		t.Fatalf("preallocated %d bytes", before[0])
	}
	if before[1]*512 < 2*slotSize {
		t.Skip("this file system compresses zeros, so that nothing can be preallocated on it")
	}
	for i := range 20 {
		id := fmt.Sprint(i)
		slot := begin(t, s, id, "main")
		record(t, slot, string(bytes.Repeat([]byte("x"), slotSize-answerOffset-frameHead)))
		if err := s.Settle(id, false); err != nil {
			t.Fatal(err)
		}
	}
	if after := usage(); after != before {
		t.Errorf("disk usage went from %v to %v", before, after)
	}
}

// What a slot held is gone from the disk once it is settled, and is no
// answer to the next attempt.
func TestSettledIsOverwritten(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1)
	record(t, begin(t, s, "a", "main"), string(bytes.Repeat([]byte("canary"), 20_000))) // longer than the slot
	if err := s.Settle("a", false); err != nil {
		t.Fatal(err)
	}
	for _, name := range glob(t, dir, "*") {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, []byte("canary")) {
			t.Errorf("%s still holds the answer", name)
		}
	}
	if _, ok := begin(t, s, "b", "main").Answer(); ok {
		t.Error("a new attempt has an answer")
	}
}

func TestSlotsAreForTheirOwnerAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	open(t, dir, 1)
	for _, name := range append(glob(t, dir, "*"), dir) {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %s", name, info.Mode())
		}
	}
}

func TestKeepPutsAside(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1)
	record(t, begin(t, s, "../a/b", "main"), "unread bytes")
	if err := s.Settle("../a/b", true); err != nil {
		t.Fatal(err)
	}
	kept := glob(t, dir, "unread-*")
	if len(kept) != 1 {
		t.Fatalf("put aside: %v", kept)
	}
	if b, _ := os.ReadFile(kept[0]); !bytes.Contains(b, []byte("unread bytes")) {
		t.Error("the answer is not in it")
	}
	// Nothing to keep: the slot is freed.
	begin(t, s, "c", "main")
	if err := s.Settle("c", true); err != nil {
		t.Fatal(err)
	}
	if kept := glob(t, dir, "unread-*"); len(kept) != 1 {
		t.Errorf("put aside: %v", kept)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := open(t, dir, 1).Unsettled(); len(got) != 0 {
		t.Errorf("an answer put aside is unsettled: %+v", got)
	}
}

func TestManyAtOnce(t *testing.T) {
	s := open(t, t.TempDir(), 4)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			account := fmt.Sprint("account-", i)
			for n := range 5 {
				id := fmt.Sprint(account, "-", n)
				slot, known, err := s.Begin(Header{Attempt: id, Account: account})
				if err != nil || known {
					t.Errorf("%s: known %t, %v", id, known, err)
					return
				}
				if err := errors.Join(slot.Advance(Ready), slot.Advance(Sent), slot.Record([]byte(id))); err != nil {
					t.Error(err)
				}
				if !slices.ContainsFunc(s.Unsettled(), func(e Entry) bool { return e.Attempt == id && e.Progress == Answered }) {
					t.Errorf("%s is not listed", id)
				}
				if got, _ := slot.Answer(); string(got) != id {
					t.Errorf("%s has the answer %q", id, got)
				}
				if err := s.Settle(id, n%2 == 1); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

func TestContext(t *testing.T) {
	if slot, ok := FromContext(t.Context()); ok || slot != nil {
		t.Error("a slot out of nowhere")
	}
	slot := &Slot{}
	if got, ok := FromContext(NewContext(context.Background(), slot)); !ok || got != slot {
		t.Error("the slot is not in its context")
	}
}
