package store

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/record/recordtest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store/journal"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store/mirror"
)

// manyVersions commits versions of an account until its file has been made compact
// some times.
func manyVersions(t *testing.T, s *Journal, times int) (last Record) {
	t.Helper()
	last = numbered("main", 1)
	if err := s.Commit(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	for compacted, end := 0, int64(0); compacted < times; end = s.End() {
		last = last.Next(recordtest.Token(int(last.Version)), OriginRefresh, "a", last.StoredAt.Add(time.Minute))
		if err := s.Commit(t.Context(), last); err != nil {
			t.Fatal(err)
		}
		if s.End() < end {
			compacted++
		}
	}
	return last
}

// A file does not grow for ever. What is over stays in it for some hours, and all that
// counts is there after each start.
func TestCompact(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	now := recordtest.Golden().StoredAt
	s, err := Open(dir, Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	s.Compact(64 << 10)
	if err := s.Commit(t.Context(), numbered("other", 1)); err != nil {
		t.Fatal(err)
	}
	last := manyVersions(t, s, 1)
	frames := func() int {
		img, err := journal.Read(s.Path())
		if err != nil || img.Err != nil || img.Worn {
			t.Fatal(err, img.Err)
		}
		n, _ := img.Transactions()
		return n
	}
	if n := frames(); n < 20 {
		t.Errorf("%d frames are left: the newest hours are gone", n)
	}
	for end := int64(0); s.End() >= end; {
		end, now = s.End(), now.Add(2*mirror.HistoryFor)
		last = last.Next(recordtest.Token(1000), OriginRefresh, "a", now)
		if err := s.Commit(t.Context(), last); err != nil {
			t.Fatal(err)
		}
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
	recordtest.CheckSame(t, r, last)
	if aside, _ := filepath.Glob(filepath.Join(dir, FileName+".*")); len(aside) > 0 {
		t.Errorf("beside it: %v", aside)
	}
}

// Where no shorter file can be made, the store goes on in the long one.
func TestCompactThatFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	s := reach(t, dir)
	s.Compact(16 << 10)
	if err := os.MkdirAll(filepath.Join(dir, FileName+".new", "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	last := numbered("main", 1)
	for s.End() < 64<<10 {
		if err := s.Commit(t.Context(), last); err != nil {
			t.Fatal(err)
		}
		last = last.Next(recordtest.Token(int(last.Version)), OriginRefresh, "a", last.StoredAt.Add(time.Minute))
	}
	if s.Fault() != nil {
		t.Error(s.Fault())
	}
}
