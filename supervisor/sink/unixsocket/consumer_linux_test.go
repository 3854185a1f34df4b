package unixsocket_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/sinktest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/unixsocket"
)

func TestSlowConsumerIsDroppedAndToldWhy(t *testing.T) {
	t.Parallel()
	// The time is the fast one's, too, also where a busy machine makes that slow.
	l := listen(t, unixsocket.ListenConfig{Timeout: 5 * time.Second, Encode: func(d format.Document) ([]byte, error) {
		return fmt.Appendf(nil, `{"version":%d,"pad":%q}`, d.Version, strings.Repeat("x", 10_000)), nil
	}})
	l.shelf.put(sinktest.Bare("b", 1))
	slow, fast := l.connect(t), l.connect(t)
	for _, conn := range []*net.UnixConn{slow, fast} {
		lineOf(t, bufio.NewReader(conn)) // now the sink has taken both
	}
	var read atomic.Uint64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for r := bufio.NewReader(fast); ; {
			line, err := r.ReadBytes('\n')
			if err != nil {
				return
			}
			var m struct{ Version uint64 }
			if json.Unmarshal(line, &m) == nil {
				read.Store(m.Version)
			}
		}
	}()
	const last = 60
	for v := range uint64(last) {
		if err := l.Deliver(t.Context(), sinktest.Bare("a", v+1)); err != nil {
			t.Fatal(err)
		}
	}
	b, err := io.ReadAll(slow)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	if end := lines[len(lines)-1]; !strings.Contains(end, `{"error":"you did not read`) {
		t.Errorf("its last line, of %d: %.100s", len(lines), end)
	}
	l.stop()
	<-done
	if read.Load() != last {
		t.Errorf("the other one has version %d of %d", read.Load(), last)
	}
}

// With very many accounts a consumer that reads all the time gets the tokens of
// all, however long that takes, and not those of the first ones again and again.
func TestLongGreeting(t *testing.T) {
	l := listen(t, unixsocket.ListenConfig{Timeout: time.Second, Encode: func(d format.Document) ([]byte, error) {
		return fmt.Appendf(nil, `{"account":%q,"pad":%q}`, d.Account, strings.Repeat("x", 10_000)), nil
	}})
	const accounts = 1000
	var all []sink.Delivery
	for i := range accounts {
		all = append(all, sinktest.Bare(fmt.Sprint("account", i), 1))
	}
	l.shelf.put(all...)
	r := bufio.NewReader(l.dial(t))
	began := time.Now()
	for i := range accounts {
		if m := lineOf(t, r); m["account"] != all[i].Document.Account {
			t.Fatalf("line %d of %d: %.200v", i+1, accounts, m)
		}
		// By a plan, in which the delays of a busy machine don't add up.
		<-time.After(time.Until(began.Add(time.Duration(i) * 2 * time.Millisecond)))
	}
}

func TestHalfClosedConsumerGoesOnReading(t *testing.T) {
	l := listen(t, unixsocket.ListenConfig{})
	conn := l.connect(t)
	if _, err := conn.Write([]byte("hello\n")); err != nil {
		t.Fatal(err)
	}
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	for v := range uint64(3) {
		if err := l.Deliver(t.Context(), sinktest.Bare("a", v+1)); err != nil {
			t.Fatal(err)
		}
		lineOf(t, r)
	}
}

// A consumer that leaves makes room for another.
func TestConsumersAreBounded(t *testing.T) {
	l := listen(t, unixsocket.ListenConfig{MaxConsumers: 2})
	l.shelf.put(sinktest.Bare("a", 1))
	first := l.connect(t)
	second := l.connect(t)
	for _, c := range []*net.UnixConn{first, second} {
		lineOf(t, bufio.NewReader(c))
	}
	if m := lineOf(t, bufio.NewReader(l.dial(t))); !strings.Contains(fmt.Sprint(m["error"]), "2 consumers") {
		t.Errorf("the third got %v", m)
	}
	_ = first.Close()
	for {
		m := lineOf(t, bufio.NewReader(l.dial(t)))
		if m["access_token"] != nil {
			break
		}
		if t.Context().Err() != nil {
			t.Fatal("no room after one left")
		}
		runtime.Gosched()
	}
}

func TestStoreThatFailsIsTold(t *testing.T) {
	l := listen(t, unixsocket.ListenConfig{})
	l.shelf.mu.Lock()
	l.shelf.fail = errors.New("CANARY")
	l.shelf.mu.Unlock()
	b, err := io.ReadAll(l.dial(t))
	if err != nil || !strings.Contains(string(b), "connect again") || strings.Contains(string(b), "CANARY") {
		t.Errorf("got %q, %v", b, err)
	}
}

func TestStrangersAreTurnedAway(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can connect as another user")
	}
	for _, allowed := range [][]int{nil, {65534}} {
		l := listen(t, unixsocket.ListenConfig{Mode: 0o666, AllowUIDs: allowed})
		l.shelf.put(sinktest.Bare("a", 1))
		_ = l.connect(t)
		if err := os.Chmod(filepath.Dir(l.path), 0o755); err != nil {
			t.Fatal(err)
		}
		got := make(chan string, 1)
		go func() {
			runtime.LockOSThread() // the thread ends with the goroutine
			if _, _, e := syscall.RawSyscall(syscall.SYS_SETRESUID, ^uintptr(0), 65534, ^uintptr(0)); e != 0 {
				got <- e.Error()
				return
			}
			fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
			if err == nil {
				err = syscall.Connect(fd, &syscall.SockaddrUnix{Name: l.path})
			}
			buf := make([]byte, 4096)
			n := 0
			if err == nil {
				n, err = syscall.Read(fd, buf)
			}
			_ = syscall.Close(fd)
			got <- fmt.Sprint(string(buf[:max(n, 0)]), err)
		}()
		text := <-got
		if strings.Contains(text, "access-") != (allowed != nil) || strings.Contains(text, "user 65534 may not") != (allowed == nil) {
			t.Errorf("with %v: %s", allowed, text)
		}
	}
}
