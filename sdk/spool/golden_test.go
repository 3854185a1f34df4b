package spool

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var release = flag.Bool("release", false, "write the golden files, which are never written again")

const goldenAnswer = "what the broker <&> said"

// golden is the header of a slot with every field set, those too that a newer
// program wrote.
func golden(p Progress) header {
	return header{
		Header:   Header{Attempt: "0197c5a1-attempt", Account: "saxo-live", Kind: KindRefresh, Version: 42, Fingerprint: "8899aabbccddeeff"},
		Progress: p, BegunAt: time.Date(2026, 7, 1, 12, 1, 0, 123456789, time.UTC), unknown: `{"lease":{"keeper":"a"}}`,
	}
}

// goldenSlot is what a slot's file begins with; the rest of it is zeros.
func goldenSlot(t *testing.T, p Progress) []byte {
	t.Helper()
	b, err := encodeHeader(golden(p))
	if err != nil {
		t.Fatal(err)
	}
	if p == Answered {
		b = append(b, encodeFrame(answerMagic, golden(p).Attempt, []byte(goldenAnswer))...)
	}
	return bytes.TrimRight(b, "\x00")
}

// Slots as the first release wrote them, of each progress, are read, written as
// they were, and keep what a newer program said of them.
func TestGoldenSlots(t *testing.T) {
	for _, p := range []Progress{Ready, Begun, Sent, Answered} {
		path := filepath.Join("testdata", "slot-"+string(p))
		if *release {
			if _, err := os.Lstat(path); err == nil {
				t.Fatal("what was released is never written again")
			}
			if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(path, goldenSlot(t, p), 0o644)); err != nil {
				t.Fatal(err)
			}
		}
		file, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(file, goldenSlot(t, p)) {
			t.Errorf("%s is written in another way today", p)
		}
		dir := t.TempDir()
		slot := append(bytes.Clone(file), make([]byte, slotSize-len(file))...)
		if err := os.WriteFile(filepath.Join(dir, "slot-000"), slot, 0o600); err != nil {
			t.Fatal(err)
		}
		sp, err := Open(t.Context(), dir, 1)
		if err != nil {
			t.Fatal(err)
		}
		want := golden(p)
		entries := sp.Unsettled()
		if len(entries) != 1 || entries[0] != (Entry{want.Header, p, want.BegunAt}) {
			t.Errorf("%s: the spool holds %+v", p, entries)
		}
		s, known, err := sp.Begin(want.Header)
		if err != nil || !known {
			t.Fatalf("%s: known: %t, %v", p, known, err)
		}
		if answer, ok := s.Answer(); ok != (p == Answered) || ok && string(answer) != goldenAnswer {
			t.Errorf("%s: the answer is %q", p, answer)
		}
		if p != Answered {
			if err := s.Advance(Sent); !errors.Is(err, ErrSent) && (err != nil || p == Sent) {
				t.Errorf("%s: to advance it to %s: %v", p, Sent, err)
			}
			if err := s.Record([]byte(goldenAnswer)); err != nil {
				t.Fatal(err)
			}
		}
		// An answer that nobody can read is put aside with all that was said of it.
		if err := errors.Join(sp.Settle(want.Attempt, true), sp.Close()); err != nil {
			t.Fatal(err)
		}
		aside, err := os.ReadFile(UnreadPath(dir, want.Attempt))
		if err != nil {
			t.Fatal(err)
		}
		h, answer, ok := decodeSlot(aside)
		if !ok || h != golden(Answered) || string(answer) != goldenAnswer {
			t.Errorf("%s: put aside as %+v, %q", p, h, answer)
		}
	}
}
