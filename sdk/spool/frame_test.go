package spool

import (
	"bytes"
	"errors"
	"strings"
	"testing"
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
