package store

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// No bit of a frame can change unseen, and no frame is taken for whole that is cut off.
func TestFrame(t *testing.T) {
	f := frame{prev: 7, sequence: 42, at: golden().StoredAt, body: encodeChange(change{"a": []byte("1"), "b": nil})}
	whole := f.encode()
	read := func(b []byte) (got frame, ok bool) {
		if got, ok = decodeHead(b); !ok || got.size > len(b) {
			return frame{}, false
		}
		return got, got.check(b[:got.size])
	}
	got, ok := read(whole)
	entries, row := got.entries()
	if !ok || !row || got.prev != 7 || got.sequence != 42 || got.sum != f.sum || !got.at.Equal(golden().StoredAt.Truncate(time.Millisecond)) ||
		len(entries) != 2 || entries[0].key != "a" || string(entries[0].value) != "1" || entries[1].key != "b" || entries[1].value != nil {
		t.Fatalf("read back: %+v, %+v", got, entries)
	}
	for n := range whole {
		for bit := range 8 {
			flipped := bytes.Clone(whole)
			flipped[n] ^= 1 << bit
			if _, ok := read(flipped); ok {
				t.Fatalf("bit %d of byte %d was flipped, and nobody saw it", bit, n)
			}
		}
		if _, ok := read(whole[:n]); ok {
			t.Fatalf("the first %d of %d bytes are a frame", n, len(whole))
		}
	}
}

// manyVersions commits versions of an account until its file has been made compact
// some times.
func manyVersions(t *testing.T, s *Journal, times int) (last Record) {
	t.Helper()
	last = record("main", 1)
	if err := s.Commit(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	for compacted, end := 0, int64(0); compacted < times; end = s.mirror.file.end {
		last = last.Next(tokenOf(int(last.Version)), OriginRefresh, "a", last.StoredAt.Add(time.Minute))
		if err := s.Commit(t.Context(), last); err != nil {
			t.Fatal(err)
		}
		if s.mirror.file.end < end {
			compacted++
		}
	}
	return last
}

// A file does not grow for ever. What is over stays in it for some hours, and all that
// counts is there after each start.
func TestCompact(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	now := golden().StoredAt
	s, err := Open(dir, Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	s.mirror.smallest = 64 << 10
	if err := s.Commit(t.Context(), record("other", 1)); err != nil {
		t.Fatal(err)
	}
	last := manyVersions(t, s, 1)
	frames := func() (versions int) {
		b, err := os.ReadFile(s.Path())
		img := readImage(b)
		if err != nil || img.err != nil || img.worn {
			t.Fatal(err, img.err)
		}
		return len(img.frames)
	}
	if n := frames(); n < 20 {
		t.Errorf("%d frames are left: the newest hours are gone", n)
	}
	s.mirror.file.fresh = 0
	now = now.Add(2 * historyFor)
	last = last.Next(tokenOf(1000), OriginRefresh, "a", now)
	if err := s.Commit(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	if n := frames(); n > 3 { // the newest one, and all
		t.Errorf("%d frames are left of long ago", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again := reach(t, dir)
	r, err := again.Load(t.Context(), "main")
	if err != nil || again.Restored() != nil {
		t.Fatal(err, again.Restored())
	}
	checkSame(t, r, last)
	if aside, _ := filepath.Glob(filepath.Join(dir, FileName+".*")); len(aside) > 0 {
		t.Errorf("beside it: %v", aside)
	}
}

// Where no shorter file can be made, the store goes on in the long one.
func TestCompactThatFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	s := reach(t, dir)
	s.mirror.smallest = 16 << 10
	if err := os.MkdirAll(filepath.Join(dir, FileName+nextSuffix, "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	last := record("main", 1)
	for s.mirror.file.end < 64<<10 {
		if err := s.Commit(t.Context(), last); err != nil {
			t.Fatal(err)
		}
		last = last.Next(tokenOf(int(last.Version)), OriginRefresh, "a", last.StoredAt.Add(time.Minute))
	}
	if s.Fault() != nil {
		t.Error(s.Fault())
	}
}

// A store that was moved says where to, and nobody goes on in it: also not from its
// backups.
func TestMoved(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	s := reach(t, dir)
	if err := errors.Join(s.Commit(t.Context(), record("main", 1)), s.Backup(t.Context()), s.MoveAway(t.Context(), "postgres://db")); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(t.Context(), record("other", 1)); !errors.Is(err, ErrMoved) {
		t.Errorf("committed: %v", err)
	}
	if err := s.Close(); err != nil && !errors.Is(err, ErrMoved) {
		t.Error(err)
	}
	_, err := Open(dir, Options{})
	if !errors.Is(err, ErrMoved) || !strings.Contains(err.Error(), "postgres://db") {
		t.Errorf("opened: %v", err)
	}
	if err := Inspect(dir); !errors.Is(err, ErrMoved) {
		t.Errorf("inspected: %v", err)
	}
}

// What is sealed is not taken for damage: a program that can't open it refuses the store.
func TestSealedValues(t *testing.T) {
	dir := plant(t, formatVersion, map[string][]byte{"accounts/main/record": []byte("sealed")})
	path := filepath.Join(dir, FileName)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f := frame{kind: frameReset, sequence: 1, body: encodeChange(change{"accounts/main/record": []byte("sealed")})}
	f.body[1] = 1
	for lane := range lanes {
		copy(b[physical(lane, 0):], f.encode())
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrNewerFormat) || !strings.Contains(err.Error(), "sealed") {
		t.Errorf("opened: %v", err)
	}
}
