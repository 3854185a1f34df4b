package providertest

import (
	"errors"
	"reflect"
	"syscall"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/internal/hosted"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
)

// testKilled: the answer outlives a process that is killed before anybody has stored
// it, and the next process gives it from the spool alone: nothing of it was kept in
// memory.
func testKilled(t *testing.T, s trial) {
	b := s.newBroker(t, s.grant(s.access(newAccess), newRefresh))
	dir := t.TempDir()
	p, remote := s.host(t, dir)
	first, err := s.next(call(t), remote, s.request("one", b))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := p.Ended(waittest.Patience); errors.Is(err, hosted.ErrRuns) {
		t.Fatal(err)
	}
	_, remote = s.host(t, dir)
	a, err := s.answer(call(t), remote, s.request("one", b))
	if err != nil {
		t.Fatalf("the same attempt, in a process after one that was killed: %v", err)
	}
	if !a.Recovered || !reflect.DeepEqual(a.Token, first) {
		t.Errorf("recovered %t; the tokens are equal: %t", a.Recovered, reflect.DeepEqual(a.Token, first))
	}
	b.wantPosts(t, 1)
}
