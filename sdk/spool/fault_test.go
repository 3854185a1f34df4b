package spool

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A slot whose own file fails gets another file, and that one is found.
func TestRecordIntoAFreshFile(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1)
	slot := begin(t, s, "a", "main")
	_ = slot.file.Close() // every write and fsync fails from here
	record(t, slot, "the answer")
	if slot.Fault() != nil {
		t.Errorf("a fault is left: %v", slot.Fault())
	}
	wantAnswer(t, open(t, image(t, dir), 1), "a", "main", "the answer")
	if err := s.Settle("a", false); err != nil {
		t.Fatal(err)
	}
	record(t, begin(t, s, "b", "main"), "the next")
	wantAnswer(t, open(t, image(t, dir), 1), "b", "main", "the next")
}

// takeAway makes it that nothing can be had, or made, at path.
func takeAway(t *testing.T, path string) (bringBack func()) {
	t.Helper()
	if err := errors.Join(os.Rename(path, path+".gone"), os.WriteFile(path, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := errors.Join(os.Remove(path), os.Rename(path+".gone", path)); err != nil {
			t.Fatal(err)
		}
	}
}

// With nowhere to write, the answer is held in memory and the fault is told.
func TestRecordFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	s := open(t, dir, 1)
	slot := begin(t, s, "a", "main")
	_ = slot.file.Close()
	bringBack := takeAway(t, dir)
	if err := slot.Record([]byte("the answer")); err == nil {
		t.Fatal("no error")
	}
	if slot.Fault() == nil {
		t.Error("the fault is forgotten")
	}
	wantAnswer(t, s, "a", "main", "the answer")

	// The disk comes back; the supervisor has stored the token and settles.
	bringBack()
	if err := s.Settle("a", false); err != nil {
		t.Fatalf("a slot that can't be written blocks its account: %v", err)
	}
	record(t, begin(t, s, "b", "main"), "the next")
	left := open(t, image(t, dir), 1)
	if got := left.Unsettled(); len(got) != 1 || got[0].Attempt != "b" {
		t.Errorf("the next process finds %+v", got)
	}
}

func TestNoSlotNoAttempt(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	s := open(t, dir, 1)
	_ = s.places[0].free[0].file.Close()
	bringBack := takeAway(t, dir)
	if _, _, err := s.Begin(Header{Attempt: "a", Account: "main"}); err == nil {
		t.Fatal("an attempt without a slot")
	}
	if got := s.Unsettled(); len(got) != 0 {
		t.Errorf("it is listed: %+v", got)
	}
	bringBack()
	record(t, begin(t, s, "a", "main"), "a slot that fails is in nobody's way")
	long := Header{Attempt: strings.Repeat("x", answerOffset), Account: "main"}
	if _, _, err := open(t, t.TempDir(), 1).Begin(long); err == nil {
		t.Error("a header that runs into the answer")
	}
}

// damage changes the bytes of the directory's only slot file.
func damage(t *testing.T, dir string, change func([]byte) []byte) {
	t.Helper()
	name := glob(t, dir, "slot-*")[0]
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, change(b), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDamage(t *testing.T) {
	answered := func(t *testing.T) string {
		dir := t.TempDir()
		record(t, begin(t, open(t, dir, 1), "a", "main"), "the answer")
		return image(t, dir)
	}
	t.Run("in the answer", func(t *testing.T) {
		dir := answered(t)
		damage(t, dir, func(b []byte) []byte { b[answerOffset+frameHead+2] ^= 1; return b })
		s := open(t, dir, 1)
		slot, known, err := s.Begin(Header{Attempt: "a", Account: "main"})
		if err != nil || !known {
			t.Fatalf("known %t, %v", known, err)
		}
		if got, ok := slot.Answer(); ok {
			t.Errorf("the damaged answer %q is believed", got)
		}
		// A person may still read what is left of it.
		if err := s.Settle("a", true); err != nil {
			t.Fatal(err)
		}
		if kept := glob(t, dir, "unread-*"); len(kept) != 1 {
			t.Errorf("put aside: %v", kept)
		}
	})
	t.Run("cut in the answer", func(t *testing.T) {
		dir := answered(t)
		damage(t, dir, func(b []byte) []byte { return b[:answerOffset+frameHead+4] })
		if slot, _, _ := open(t, dir, 1).Begin(Header{Attempt: "a"}); slot != nil {
			if _, ok := slot.Answer(); ok {
				t.Error("half an answer is believed")
			}
		}
	})
	t.Run("in the header", func(t *testing.T) {
		dir := answered(t)
		damage(t, dir, func(b []byte) []byte { b[frameHead+2] ^= 1; return b })
		s := open(t, dir, 1)
		if got := s.Unsettled(); len(got) != 0 {
			t.Errorf("a damaged header is believed: %+v", got)
		}
		kept := glob(t, dir, "unread-*")
		if len(kept) != 1 {
			t.Fatalf("put aside: %v", kept)
		}
		if b, _ := os.ReadFile(kept[0]); !bytes.Contains(b, []byte("the answer")) {
			t.Error("the answer was destroyed")
		}
		begin(t, s, "b", "main")
	})
	t.Run("a slot of which the making was cut short", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "slot-000"), make([]byte, 100), 0o600); err != nil {
			t.Fatal(err)
		}
		open(t, dir, 1)
		if info, err := os.Stat(filepath.Join(dir, "slot-000")); err != nil || info.Size() != slotSize {
			t.Errorf("its size is %d (%v)", info.Size(), err)
		}
	})
	t.Run("an older answer under a new header", func(t *testing.T) {
		h, err := encodeHeader(header{Header: Header{Attempt: "b", Account: "main"}, Progress: Sent})
		if err != nil {
			t.Fatal(err)
		}
		got, answer, inUse := decodeSlot(append(h, encodeFrame(answerMagic, "a", []byte("of a"))...))
		if !inUse || got.Attempt != "b" || answer != nil {
			t.Errorf("%+v, answer %q", got, answer)
		}
	})
}

// A crash while the answer moves to a fresh file leaves two slots of one
// attempt. The one with the answer stays, whichever it is.
func TestTwins(t *testing.T) {
	for name, first := range map[string]bool{"answer in the first": true, "answer in the second": false} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			h := header{Header: Header{Attempt: "a", Account: "main"}, Progress: Sent}
			for i, answered := range []bool{first, !first} {
				b, err := encodeHeader(h)
				if err != nil {
					t.Fatal(err)
				}
				if answered {
					b = append(b, encodeFrame(answerMagic, "a", []byte("the answer"))...)
				}
				if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("slot-%03d", i)), b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			s := open(t, dir, 1)
			wantAnswer(t, s, "a", "main", "the answer")
			if err := s.Settle("a", false); err != nil {
				t.Fatal(err)
			}
			if got := open(t, image(t, dir), 1).Unsettled(); len(got) != 0 {
				t.Errorf("the twin came back: %+v", got)
			}
		})
	}
}

// A real process that holds the spool keeps others out until it is dead, and
// what it recorded is found.
func TestSecondProcessWaits(t *testing.T) {
	if dir := os.Getenv("SPOOL_HOLDER"); dir != "" {
		s := open(t, dir, 1)
		record(t, begin(t, s, "a", "main"), "the answer")
		fmt.Println("holding")
		_, _ = os.Stdin.Read(make([]byte, 1)) // until killed
		return
	}
	dir := t.TempDir()
	holder := exec.Command(os.Args[0], "-test.run=^TestSecondProcessWaits$")
	holder.Env = append(os.Environ(), "SPOOL_HOLDER="+dir)
	stdin, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = holder.Process.Kill() }()
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || line != "holding\n" {
		t.Fatalf("the holder says %q (%v)", line, err)
	}

	brief, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
	defer cancel()
	if _, err := Open(brief, dir, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("beside a living holder: %v", err)
	}
	type result struct {
		spool *Spool
		err   error
	}
	opened := make(chan result, 1)
	go func() {
		s, err := Open(t.Context(), dir, 1)
		opened <- result{s, err}
	}()
	if err := holder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = holder.Wait()
	r := <-opened
	if r.err != nil {
		t.Fatal(r.err)
	}
	defer r.spool.Close()
	wantAnswer(t, r.spool, "a", "main", "the answer")
}
