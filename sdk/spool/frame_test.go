package spool

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/files/filestest"
)

// No bytes in a slot file make the reader panic, and what it believes is what
// somebody wrote.
func FuzzSlot(f *testing.F) {
	whole, err := encodeHeader(header{Header: Header{Attempt: "a", Account: "main"}, Progress: Sent})
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(nil))
	f.Add(whole)
	f.Add(append(bytes.Clone(whole), encodeFrame(answerMagic, "a", []byte("answer"))...))
	f.Add(append(bytes.Clone(whole), encodeFrame(answerMagic, "b", []byte("answer"))...))
	f.Add(append(bytes.Clone(whole), "TKA1\xff\xff\xff\xff\x00\x00\x00\x00"...))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, answer, inUse := decodeSlot(b)
		if !inUse && (answer != nil || h != (header{})) {
			t.Fatal("a free slot holds something")
		}
		if inUse && h.Attempt == "" {
			t.Fatal("a slot of no attempt")
		}
		if answer != nil && !bytes.Contains(b, encodeFrame(answerMagic, h.Attempt, answer)) {
			t.Fatal("an answer that was not written")
		}
	})
}

// A frame is read back whole, and no flipped bit or cut goes unseen.
func FuzzFrame(f *testing.F) {
	f.Add("attempt", []byte("payload"), uint(3))
	f.Add("", []byte{}, uint(90))
	f.Fuzz(func(t *testing.T, bind string, payload []byte, bit uint) {
		frame := encodeFrame(answerMagic, bind, payload)
		got, err := decodeFrame(answerMagic, bind, append(bytes.Clone(frame), "behind it"...))
		if err != nil || !bytes.Equal(got, payload) {
			t.Fatalf("read back %q, %v", got, err)
		}
		bit %= uint(len(frame)) * 8
		broken := bytes.Clone(frame)
		broken[bit/8] ^= 1 << (bit % 8)
		if got, err := decodeFrame(answerMagic, bind, broken); err == nil {
			t.Fatalf("bit %d flipped, read %q", bit, got)
		}
		if _, err := decodeFrame(answerMagic, bind, frame[:len(frame)-1]); !errors.Is(err, errNoFrame) {
			t.Fatalf("cut by one byte: %v", err)
		}
		if _, err := decodeFrame(headerMagic, bind, frame); !errors.Is(err, errNoFrame) {
			t.Fatalf("as a frame of another kind: %v", err)
		}
	})
}

func TestHeaderIsBounded(t *testing.T) {
	if _, err := encodeHeader(header{Header: Header{Attempt: strings.Repeat("x", answerOffset)}}); err == nil {
		t.Error("a header longer than its place")
	}
}

// Whatever a slot's file holds, the spool opens, every account can go on, and
// nothing but blanks is ever overwritten unseen: it is an attempt that has to
// be settled, or it is put aside.
func FuzzOpen(f *testing.F) {
	whole, err := encodeHeader(header{Header: Header{Attempt: "a", Account: "main"}, Progress: Sent})
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(nil), []byte("x"))
	f.Add(whole, make([]byte, 100))
	f.Add(append(bytes.Clone(whole), encodeFrame(answerMagic, "a", []byte("answer"))...), whole)
	f.Add(append(bytes.Clone(whole), encodeFrame(answerMagic, "b", []byte("answer"))...), whole[:answerOffset-1])
	f.Fuzz(func(t *testing.T, first, second []byte) {
		dir := filestest.Scratch(t)
		defer func() { _ = os.RemoveAll(dir) }()
		for name, content := range map[string][]byte{"slot-000": first, "slot-001": second} {
			if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s, err := openOn(t.Context(), filestest.New(t, dir), 2, dir)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		left := 0
		for _, e := range s.Unsettled() {
			left++
			if slot, known, err := s.Begin(e.Header); err != nil || !known || slot.BegunAt() != e.BegunAt {
				t.Fatalf("attempt %q is listed, but known %t, %v", e.Attempt, known, err)
			}
		}
		aside, err := filepath.Glob(filepath.Join(dir, asidePrefix+"*"))
		if err != nil {
			t.Fatal(err)
		}
		held := 0
		for _, content := range [][]byte{first, second} {
			if len(bytes.Trim(content, "\x00")) > 0 {
				held++
			}
		}
		_, _, firstUsed := decodeSlot(first)
		_, _, secondUsed := decodeSlot(second)
		if twins := firstUsed && secondUsed && left == 1; left+len(aside) != held && !twins {
			t.Fatalf("of %d slots that hold something, %d are listed and %d put aside", held, left, len(aside))
		}
		for _, e := range s.Unsettled() {
			if err := s.Settle(e.Attempt, false); err != nil {
				t.Fatal(err)
			}
		}
		slot, known, err := s.Begin(Header{Attempt: "next", Account: "main"})
		if err != nil || known {
			t.Fatalf("the next attempt is known: %t, %v", known, err)
		}
		if err := slot.Record([]byte("next")); err != nil {
			t.Fatal(err)
		}
	})
}
