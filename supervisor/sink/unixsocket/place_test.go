package unixsocket_test

import (
	"bufio"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/sinktest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/unixsocket"
)

// The socket is opened again, however it got away, while nothing is delivered,
// and who is connected stays so.
func TestSocketThatIsRemovedIsOpenedAgain(t *testing.T) {
	for name, remove := range map[string]func(path string) error{
		"removed": os.Remove,
		"moved":   func(path string) error { return os.Rename(path, path+".old") },
		"moved to another directory": func(path string) error {
			return errors.Join(os.Mkdir(path+".d", 0o700), os.Rename(path, filepath.Join(path+".d", "s")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := listen(t, unixsocket.ListenConfig{})
			l.shelf.put(sinktest.Bare("a", 1))
			first := bufio.NewReader(l.dial(t))
			lineOf(t, first)
			if err := remove(l.path); err != nil {
				t.Fatal(err)
			}
			second := bufio.NewReader(l.dial(t))
			lineOf(t, second)
			if err := l.Deliver(t.Context(), sinktest.Bare("a", 2)); err != nil {
				t.Fatal(err)
			}
			for i, r := range []*bufio.Reader{first, second} {
				if m := lineOf(t, r); m["access_token"] != sinktest.Bare("a", 2).Document.AccessToken.Reveal() {
					t.Errorf("consumer %d got %v", i+1, m)
				}
			}
			l.stop()
			if _, err := os.Lstat(l.path); err == nil {
				t.Error("the socket is left behind")
			}
		})
	}
}

// What somebody else has put in the place of our socket stays there, and is
// told, until it is gone.
func TestSocketThatIsReplaced(t *testing.T) {
	l := listen(t, unixsocket.ListenConfig{})
	l.shelf.put(sinktest.Bare("a", 1))
	conn := l.dial(t)
	lineOf(t, bufio.NewReader(conn))
	if err := errors.Join(os.WriteFile(l.path+".new", []byte("theirs"), 0o600), os.Rename(l.path+".new", l.path)); err != nil {
		t.Fatal(err)
	}
	told := func() error { _, err := l.Test(t.Context(), sinktest.Bare("a", 1)); return err }
	waittest.Until(t, "it is told", func() bool { return told() != nil })
	if err := told(); !strings.Contains(err.Error(), "1 are connected, but nobody else can connect") || !strings.Contains(err.Error(), "no socket is there") {
		t.Errorf("it is told as %v", err)
	}
	if err := l.Deliver(t.Context(), sinktest.Bare("a", 2)); err != nil {
		t.Errorf("who is connected does not get it: %v", err)
	}
	_ = conn.Close()
	waittest.Until(t, "nobody is connected any more, and it is told", func() bool {
		err := l.Deliver(t.Context(), sinktest.Bare("a", 3))
		return err != nil && strings.Contains(err.Error(), "no socket is there")
	})
	if b, err := os.ReadFile(l.path); string(b) != "theirs" {
		t.Errorf("theirs was changed: %q, %v", b, err)
	}
	if err := os.Remove(l.path); err != nil {
		t.Fatal(err)
	}
	lineOf(t, bufio.NewReader(l.dial(t)))
}

// With theirs at the path, the end does not remove it.
func TestEndRemovesOnlyOurs(t *testing.T) {
	l := listen(t, unixsocket.ListenConfig{})
	l.shelf.put(sinktest.Bare("a", 1))
	lineOf(t, bufio.NewReader(l.dial(t)))
	theirs, err := net.Listen("unix", l.path+".new")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = theirs.Close() }()
	if err := os.Rename(l.path+".new", l.path); err != nil {
		t.Fatal(err)
	}
	l.stop()
	if _, err := os.Lstat(l.path); err != nil {
		t.Errorf("theirs is gone: %v", err)
	}
}

func TestListenerTellsNotices(t *testing.T) {
	l := listen(t, unixsocket.ListenConfig{})
	l.shelf.put(sinktest.Bare("a", 1))
	r := bufio.NewReader(l.dial(t))
	if m := lineOf(t, r); m["kind"] != nil {
		t.Errorf("a token has a kind: %v", m)
	}
	if err := errors.Join(l.Notify(t.Context(), sinktest.Alert("a", 4)), l.Notify(t.Context(), sinktest.Alert("a", 4)), l.Deliver(t.Context(), sinktest.Bare("a", 2))); err != nil {
		t.Fatal(err)
	}
	for range 2 { // a notice is no version that a consumer could have
		m := lineOf(t, r)
		if alert, _ := m["alert"].(map[string]any); m["kind"] != "alert" || m["id"] != "msg_alert_a_4" || alert["account"] != "a" || m["access_token"] != nil {
			t.Errorf("got %v", m)
		}
	}
	if m := lineOf(t, r); m["access_token"] == nil || m["kind"] != nil {
		t.Errorf("the next token is %v", m)
	}
	if done, err := l.Test(t.Context(), sinktest.Bare("a", 2)); err != nil || !strings.HasPrefix(done, "1 connected") {
		t.Errorf("%s, %v", done, err)
	}
}
