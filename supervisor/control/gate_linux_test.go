package control

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/usertest"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
)

// TestStrangersTakeNoRoom: of those who may do nothing only some are connected at once,
// and of a reader no more than he needs; who runs the supervisor always gets in.
func TestStrangersTakeNoRoom(t *testing.T) {
	usertest.NeedsRoot(t)
	const bot = usertest.Stranger + 1
	c := config.Control{Socket: filepath.Join(t.TempDir(), "c"), Readers: []config.Reader{{User: fmt.Sprint(bot), Accounts: []string{"main"}}}}
	for dir := filepath.Dir(c.Socket); dir != os.TempDir(); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	ln, err := Listen(c.Socket, c)
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{Listener: ln, server: NewServer(nil, nil, slog.New(slog.DiscardHandler), c.Readers...), inside: map[uint32]int{}}
	visits, ended := make(chan net.Conn), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := g.Accept()
			if err != nil {
				return
			}
			visits <- conn
		}
	}()
	for uid, most := range map[int]int{usertest.Stranger: mostOfStrangers, bot: mostOfReader} {
		var inside []net.Conn
		for range most {
			usertest.Dial(t, c.Socket, uid)
			inside = append(inside, waittest.Receive(t, "a visit", visits))
		}
		if uid == usertest.Stranger {
			uid += 5 // all strangers count together
		}
		conn := usertest.Dial(t, c.Socket, uid)
		waittest.Limit(t, conn)
		if n, err := conn.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("user %d: one more: %d, %v", uid, n, err)
		}
		usertest.Dial(t, c.Socket, 0)
		if conn := waittest.Receive(t, "root", visits); !conn.(*visit).peer.rights.all {
			t.Errorf("user %d: instead of root came %+v", uid, conn.(*visit).peer)
		}
		for _, conn := range inside {
			_ = conn.Close()
			_ = conn.Close() // it has left once
		}
		usertest.Dial(t, c.Socket, uid)
		if conn := waittest.Receive(t, "a visit after the others", visits); conn.(*visit).peer.UID != uint32(uid) {
			t.Errorf("user %d: instead came %+v", uid, conn.(*visit).peer)
		}
	}
	_ = ln.Close()
	<-ended
}
