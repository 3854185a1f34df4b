package providertest

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
)

func testSameAttempt(t *testing.T, s trial) {
	b := s.newBroker(t, s.grant(s.access(newAccess), newRefresh))
	p := s.fresh(t)
	first, err := s.next(call(t), p.Remote, s.request("one", b))
	if err != nil {
		t.Fatalf("%s: %v", s.name(), err)
	}
	again, err := s.next(call(t), p.Remote, s.request("one", b))
	if err != nil {
		t.Fatalf("the same attempt again: %v", err)
	}
	if !reflect.DeepEqual(again, first) {
		t.Error("the same attempt again gave another token")
	}
	b.wantPosts(t, 1)
}

// testRecovery: the answer came, the process died before the supervisor heard.
func testRecovery(t *testing.T, s trial) {
	b := s.newBroker(t, s.grant(s.access(newAccess), newRefresh))
	dir := t.TempDir()
	p := s.start(t, dir)
	first, err := s.next(call(t), p.Remote, s.request("one", b))
	if err != nil {
		t.Fatalf("%s: %v", s.name(), err)
	}
	p.die()

	p = s.start(t, dir)
	left, err := p.Unsettled(call(t))
	entries := left.Entries
	if err != nil || len(entries) != 1 || entries[0].Attempt != "one" || entries[0].Progress != spool.Answered {
		t.Fatalf("the spool lists %+v (%v), want the answered attempt", entries, err)
	}
	a, err := s.answer(call(t), p.Remote, s.request("one", b))
	if err != nil {
		t.Fatalf("recovery: %v", err)
	}
	if !a.Recovered {
		t.Error("the answer is not marked as recovered")
	}
	if !reflect.DeepEqual(a.Token, first) {
		t.Errorf("the recovered token differs; issued at %s, first %s", a.Token.IssuedAt, first.IssuedAt)
	}
	b.wantPosts(t, 1)

	if err := p.Settle(call(t), "one"); err != nil {
		t.Fatalf("Settle: %v", err)
	}
	if err := p.Settle(call(t), "one"); err != nil {
		t.Errorf("Settle a second time: %v", err)
	}
	if left, err := p.Unsettled(call(t)); err != nil || len(left.Entries) != 0 {
		t.Errorf("the spool lists %+v (%v) after Settle", left.Entries, err)
	}
	if _, err := s.next(call(t), p.Remote, s.request("two", b)); err != nil {
		t.Errorf("the next attempt: %v", err)
	}
	b.wantPosts(t, 2)
}

// testDeathInOpenWindow: the process died between the request and the answer.
func testDeathInOpenWindow(t *testing.T, s trial) {
	arrived, release := make(chan struct{}), make(chan struct{})
	arrive := sync.OnceFunc(func() { close(arrived) })
	b := s.newBroker(t, func(w http.ResponseWriter, r *http.Request) {
		arrive()
		<-release
		s.grant(s.access(newAccess), newRefresh)(w, r)
	})
	dir := t.TempDir()
	p := s.start(t, dir)
	done := s.underWay(t, p, b, arrived)
	left := image(t, dir)
	close(release)
	if err := <-done; err != nil {
		t.Errorf("the process that lived on: %v", err)
	}

	_, err := s.next(call(t), s.start(t, left).Remote, s.request("one", b))
	if sdk.KindOf(err) != sdk.KindAmbiguous {
		t.Errorf("recovery of an attempt that was sent and not answered: %v, want an error of the kind ambiguous", err)
	}
	b.wantPosts(t, 1)
}

// testSpoolIsNamed: the supervisor concludes that nothing was sent only from
// the name of the spool, and an attempt that was announced for another spool is
// refused.
func testSpoolIsNamed(t *testing.T, s trial) {
	b := s.newBroker(t, s.grant(s.access(newAccess), newRefresh))
	dir := t.TempDir()
	named := func(dir string) (*process, string) {
		p := s.start(t, dir)
		c, err := p.Unsettled(call(t))
		if err != nil {
			t.Fatalf("Unsettled: %v", err)
		}
		return p, c.ID
	}
	p, first := named(dir)
	if first == "" {
		t.Fatal("the provider does not name its spool: each attempt that a death cuts off would count as ambiguous")
	}
	p.die()
	p, again := named(dir)
	if again != first {
		t.Errorf("the same spool is named %q and %q", first, again)
	}
	if _, copied := named(image(t, dir)); copied == first {
		t.Error("a copy of the spool has the same name")
	}
	if _, other := named(t.TempDir()); other == first {
		t.Error("two spools have the same name")
	}
	req := s.request("one", b)
	req.Attempt.Spool = "another"
	if _, err := s.next(call(t), p.Remote, req); sdk.KindOf(err) != sdk.KindNotSent {
		t.Errorf("an attempt announced for another spool: %v, want an error of the kind not_sent", err)
	}
	b.wantPosts(t, 0)
	req = s.request("two", b)
	req.Attempt.Spool = first
	if _, err := s.next(call(t), p.Remote, req); err != nil {
		t.Errorf("an attempt announced for this spool: %v", err)
	}
	b.wantPosts(t, 1)
}

func testUnsettledBlocks(t *testing.T, s trial) {
	b := s.newBroker(t, s.grant(s.access(newAccess), newRefresh))
	p := s.fresh(t)
	if _, err := s.next(call(t), p.Remote, s.request("one", b)); err != nil {
		t.Fatalf("%s: %v", s.name(), err)
	}
	if _, err := s.next(call(t), p.Remote, s.request("two", b)); sdk.KindOf(err) != sdk.KindNotSent {
		t.Errorf("an attempt beside an unsettled one: %v, want an error of the kind not_sent", err)
	}
	b.wantPosts(t, 1)
	d, err := p.Describe(call(t))
	if err != nil {
		t.Fatalf("Describe: %v", err)
	}
	if !d.ExchangeBeside || s.way == logsIn || s.way == guided { // nothing begins beside a login
		return
	}
	if d.Authorizer {
		testLoginBeside(t, s, s.on(turn{way: logsIn}))
	}
	if d.LoginGuide && len(d.Logins) > 0 {
		guide, err := s.on(turn{guided, d.Logins[0]}).begin(t)
		if err != nil {
			t.Fatalf("BeginLogin: %v", err)
		}
		testLoginBeside(t, s, guide)
	}
}

// testLoginBeside: a login ends while another attempt of its account is under way, and
// both answers stand in the spool.
func testLoginBeside(t *testing.T, s, login trial) {
	arrived, release := make(chan struct{}), make(chan struct{})
	b := s.newBroker(t, func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-release
		s.grant(s.access(newAccess), newRefresh)(w, r)
	})
	logins := login.newBroker(t, login.grant(s.access("access of the login"), "refresh of the login"))
	p := s.fresh(t)
	done := s.underWay(t, p, b, arrived)
	token, err := login.next(call(t), p.Remote, login.request("login", logins))
	close(release)
	if err != nil {
		t.Errorf("a login (%s) beside a %s that is under way: %v", login.way, s.way, err)
	} else {
		login.wantToken(t, token, s.access("access of the login"), "refresh of the login")
	}
	if err := <-done; err != nil {
		t.Errorf("the %s: %v", s.way, err)
	}
	left, err := p.Unsettled(call(t))
	if err != nil || len(left.Entries) != 2 {
		t.Fatalf("the spool lists %+v (%v), want both attempts", left.Entries, err)
	}
	for _, e := range left.Entries {
		if e.Progress != spool.Answered {
			t.Errorf("attempt %s is %s", e.Attempt, e.Progress)
		}
	}
	b.wantPosts(t, 1)
	logins.wantPosts(t, 1)
}

// testConcurrent holds the answers back until the requests of all accounts are
// there, so that a provider that makes them wait for each other fails.
func testConcurrent(t *testing.T, s trial) {
	const accounts = 6
	var arrived atomic.Int32
	all := make(chan struct{})
	patience, cancel := waittest.Context(t.Context(), soon)
	defer cancel()
	p := s.fresh(t)
	ctx := call(t)
	var calls sync.WaitGroup
	for i := range accounts {
		name := fmt.Sprintf("account-%d", i)
		b := s.newBroker(t, func(w http.ResponseWriter, r *http.Request) {
			if arrived.Add(1) == accounts {
				close(all)
			}
			select {
			case <-all:
			case <-patience.Done():
				http.Error(w, "the others never came", http.StatusServiceUnavailable)
				return
			}
			if s.carriesToken() && !strings.Contains(textOf(r), name) {
				http.Error(w, "another account's", http.StatusBadRequest)
				return
			}
			s.grant(s.access("access for "+name), "next for "+name)(w, r)
		})
		calls.Go(func() {
			req := s.request("attempt of "+name, b)
			req.Account = s.account(name, b)
			req.Token.AccessToken, req.Token.RefreshToken = sdk.NewSecret(name), sdk.NewSecret(s.given(name))
			token, err := s.next(ctx, p.Remote, req)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				return
			}
			s.wantToken(t, token, s.access("access for "+name), "next for "+name)
		})
	}
	calls.Wait()
}
