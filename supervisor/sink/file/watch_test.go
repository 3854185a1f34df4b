package file_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/file"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/readback"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/sinktest"
)

// There is news of each account's file, from the first delivery or look on, and of
// nothing else in its folder.
func TestWatch(t *testing.T) {
	dir := t.TempDir()
	s := newSink(t, file.Config{Path: filepath.Join(dir, "{account}", "token.json")})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	told := make(chan string, 1000)
	if err := s.Watch(ctx, func(account string) { told <- account }); err != nil {
		t.Fatal(err)
	}
	tells := func(account, after string) {
		t.Helper()
		for late := waittest.Late(t); ; {
			select {
			case got := <-told:
				if got == account {
					return
				}
				if got != "a" && got != "b" {
					t.Errorf("news of %q", got)
				}
			case <-late:
				t.Fatalf("no news of %q after %s", account, after)
			}
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Mkdir(filepath.Join(dir, "a"), 0o700))
	must(s.Deliver(ctx, sinktest.Bare("a", 1)))
	tells("a", "a delivery")
	must(os.WriteFile(filepath.Join(dir, "a", "other"), nil, 0o600))
	must(os.Remove(filepath.Join(dir, "a", "token.json")))
	tells("a", "its removal")
	_, _ = s.Holds(ctx, readback.Question{Account: "b", Provider: "broker"})
	must(os.Mkdir(filepath.Join(dir, "b"), 0o700))
	tells("b", "its folder was made")
	must(os.RemoveAll(filepath.Join(dir, "a")))
	tells("a", "its folder was removed")
}
