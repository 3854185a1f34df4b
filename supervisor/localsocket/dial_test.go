package localsocket

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
)

// TestLinkJustBeforeConnecting: what is connected to is what was examined, though
// a link to something else has taken its place meanwhile.
func TestLinkJustBeforeConnecting(t *testing.T) {
	dir, err := os.MkdirTemp("", "tk")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "ours"), 0o700), os.Mkdir(filepath.Join(dir, "theirs"), 0o700),
		os.Symlink("ours", filepath.Join(dir, "way"))); err != nil {
		t.Fatal(err)
	}
	accepted := map[string]chan struct{}{}
	for _, name := range []string{"ours", "theirs"} {
		l, err := net.Listen("unix", filepath.Join(dir, name, "s"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		got := make(chan struct{}, 1)
		accepted[name] = got
		go func() {
			if conn, err := l.Accept(); err == nil {
				_ = conn.Close()
				got <- struct{}{}
			}
		}()
	}
	for replaced, path := range map[string]string{"ours": "ours/s", "way": "way/s"} {
		real, held, err := reach(filepath.Join(dir, path), nil)
		if err != nil {
			t.Fatal(err)
		}
		at := filepath.Join(dir, replaced)
		if err := errors.Join(os.Rename(at, at+"-before"), os.Symlink("theirs", at)); err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("unix", real)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
		_ = held.Close()
		if err := errors.Join(os.Remove(at), os.Rename(at+"-before", at)); err != nil {
			t.Fatal(err)
		}
	}
	<-accepted["ours"]
	if len(accepted["theirs"]) > 0 {
		t.Error("the link was followed")
	}
}
