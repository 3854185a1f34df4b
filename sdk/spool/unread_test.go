package spool

import (
	"os"
	"path/filepath"
	"testing"
)

// An answer that nobody could read is made another account's, and nothing else of it is
// another.
func TestUnreadOfAnotherAccount(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	s, err := Open(t.Context(), dir, 2)
	must(t, err)
	for _, h := range []Header{
		{Attempt: "unread", Account: "old", Kind: KindRefresh, Version: 7, Fingerprint: "0011223344556677"}, {Attempt: "waits", Account: "older", Kind: KindMint},
	} {
		slot, _, err := s.Begin(h)
		must(t, err)
		must(t, slot.Advance(Sent))
		must(t, slot.Record([]byte("the answer to "+h.Attempt)))
	}
	must(t, s.Settle("unread", true))
	must(t, s.Close())

	open, err := ListSlots(dir)
	if err != nil || len(open) != 1 || open[0].Attempt != "waits" || open[0].Account != "older" || open[0].Progress != Answered || open[0].BegunAt.IsZero() {
		t.Errorf("in use are %+v, %v", open, err)
	}
	if none, err := ListSlots(filepath.Join(dir, "none")); err != nil || len(none) > 0 {
		t.Errorf("where there is none: %+v, %v", none, err)
	}

	was, err := ReadUnread(UnreadPath(dir, "unread"))
	must(t, err)
	b, err := was.Of("a-much-longer-name")
	must(t, err)
	must(t, os.WriteFile(was.Path, b, 0o600))
	is, err := ReadUnread(was.Path)
	must(t, err)
	want := was.Header
	want.Account = "a-much-longer-name"
	if is.Header != want || !is.BegunAt.Equal(was.BegunAt) || string(is.Answer) != "the answer to unread" || is.Size != was.Size {
		t.Errorf("%+v, and before %+v", is, was)
	}
	must(t, os.WriteFile(was.Path, []byte("nothing of ours"), 0o600))
	if is, err = ReadUnread(was.Path); err != nil {
		t.Fatal(err)
	}
	if _, err := is.Of("main"); err == nil {
		t.Error("what says of nobody whose it is was made somebody's")
	}
}
