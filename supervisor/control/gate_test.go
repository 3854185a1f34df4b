package control

import (
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/localsocket"
)

// TestReadersTakeNoRoomTogether: however many users read, all of them have so many
// connections, strangers have theirs beside, and who runs the supervisor gets in.
func TestReadersTakeNoRoomTogether(t *testing.T) {
	g := &gate{inside: map[uint32]int{}}
	enters := func(uid uint32, m rights) (*visit, bool) {
		v := &visit{peer: peer{Peer: localsocket.Peer{UID: uid}, rights: m}}
		return v, g.enter(v)
	}
	reader := rights{readers: []config.Reader{{}}}
	var first *visit
	for n := range uint32(mostOfReaders) {
		v, ok := enters(n/2, reader)
		if !ok {
			t.Fatalf("connection %d is closed", n)
		}
		if first == nil {
			first = v
		}
	}
	if _, ok := enters(mostOfReaders, reader); ok {
		t.Errorf("readers have more than %d connections", mostOfReaders)
	}
	if _, ok := enters(mostOfReaders+1, rights{}); !ok {
		t.Error("a stranger is turned away because of the readers")
	}
	for range 2 * mostOfReaders {
		if _, ok := enters(0, rights{all: true}); !ok {
			t.Fatal("who may do everything is turned away")
		}
	}
	first.leave()
	if _, ok := enters(mostOfReaders, reader); !ok {
		t.Error("a reader finds no place after another one has left")
	}
}
