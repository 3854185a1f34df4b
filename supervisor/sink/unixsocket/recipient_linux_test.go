package unixsocket_test

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/sinktest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/unixsocket"
)

// A consumer keeps its name until it binds a new socket, whatever is done to the
// one that is there.
func TestRecipient(t *testing.T) {
	c := newConsumer(t)
	s := newSink(t, unixsocket.Config{Path: c.path})
	name := func() string {
		t.Helper()
		name, err := s.Recipient(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return name
	}
	if got := name(); got != "" {
		t.Errorf("nobody is called %s", got)
	}
	seen := map[string]bool{}
	for range 5 {
		c.listen(t)
		first := name()
		if first == "" || seen[first] {
			t.Errorf("a new one is called %q", first)
		}
		seen[first] = true
		if err := os.Chmod(c.path, 0o666); err != nil {
			t.Fatal(err)
		}
		if err := s.Deliver(t.Context(), sinktest.Bare("a", 1)); err != nil {
			t.Fatal(err)
		}
		moved := filepath.Join(filepath.Dir(c.path), "m")
		if os.Rename(c.path, moved) != nil || name() != "" || os.Rename(moved, c.path) != nil {
			t.Fatal("it can't be moved away and back")
		}
		if got := name(); got != first {
			t.Errorf("it was called %s and is called %s", first, got)
		}
		bound, err := os.Stat(c.path)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.listener.Close(); err != nil {
			t.Fatal(err)
		}
		// Before Linux 6.13 a file system's clock goes on by milliseconds, in which no
		// program is started anew, and the inode's number is free again at once.
		waittest.Until(t, "a later time of the file system", func() bool {
			if err := os.WriteFile(moved, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(moved)
			return err == nil && info.ModTime().After(bound.ModTime()) && os.Remove(moved) == nil
		})
	}
	if err := os.WriteFile(c.path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := name(); got != "" {
		t.Errorf("what is no socket is called %s", got)
	}
}

func TestWatchTellsOfANewSocket(t *testing.T) {
	c := newConsumer(t)
	c.path = filepath.Join(c.path, "run", "s") // its folder is made at the start, as by systemd
	s := newSink(t, unixsocket.Config{Path: c.path})
	news := make(chan string, 100)
	if err := s.Watch(t.Context(), func(account string) { news <- account }); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(c.path), 0o700); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		c.listen(t)
		waittest.Until(t, "news of somebody", func() bool {
			name, _ := s.Recipient(t.Context())
			return len(news) > 0 && name != ""
		})
		if err := c.listener.Close(); err != nil {
			t.Fatal(err)
		}
		for len(news) > 0 {
			<-news
		}
	}
}

// Whoever has connected to our socket, and been given what is newest, is news.
func TestAConnectionIsNews(t *testing.T) {
	l := listen(t, unixsocket.ListenConfig{Encode: encode})
	l.shelf.put(sinktest.Bare("greeting", 1))
	news := make(chan string, 10)
	if err := l.Watch(t.Context(), func(account string) { news <- account }); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		var conn net.Conn = l.dial(t)
		select {
		case got := <-news:
			if got != "" {
				t.Errorf("news of %q alone", got)
			}
		case <-waittest.Late(t):
			t.Fatal("no news")
		}
		_ = conn.Close()
	}
}
