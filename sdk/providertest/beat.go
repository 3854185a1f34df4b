package providertest

import (
	"net"
	"net/http"
	"reflect"
	"slices"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// testKeepAlive: a beat is one request and no attempt, and says how the session is, or
// that nobody knows.
func testKeepAlive(t *testing.T, s trial) {
	if !s.described.Keepalive {
		t.Skip("no sdk.Keepalive")
	}
	for _, life := range []sdk.Life{sdk.Alive, sdk.Competing, sdk.Gone} {
		if status, body := s.usual.Beat(life); status != 0 {
			t.Run(string(life), func(t *testing.T) { testLife(t, s, life, respond(status, "application/json", body)) })
		}
	}
	t.Run("NobodyKnows", func(t *testing.T) { testNobodyKnows(t, s) })
	t.Run("IsNoAttempt", func(t *testing.T) { testBeatIsNoAttempt(t, s) })
}

func testLife(t *testing.T, s trial, want sdk.Life, answer http.HandlerFunc) {
	if s.New != nil { // over the wire an unknown life is an error, as if nobody knew
		life, err := s.New().(sdk.Keepalive).KeepAlive(call(t), s.beat(s.beside(t, answer)))
		if err == nil && !slices.Contains([]sdk.Life{sdk.Alive, sdk.Competing, sdk.Gone}, life) {
			t.Errorf("the session is %q, which is none of the sdk's lives", life)
		}
	}
	b := s.beside(t, answer)
	if life, err := s.fresh(t).KeepAlive(call(t), s.beat(b)); err != nil || life != want {
		t.Errorf("the session is %q, want %q: %v", life, want, err)
	}
	if n := len(b.posts()); n != 1 {
		t.Errorf("the broker saw %d requests, want one cheap one", n)
	}
}

// testNobodyKnows: what is no answer says nothing about the session. Gone would mint or
// log in anew, which can throw others out; Alive would hide that the session dies.
func testNobodyKnows(t *testing.T, s trial) {
	answers := map[string]http.HandlerFunc{
		"Page500": respond(500, "text/html", "<html>"+bodyText+"</html>"), "Unavailable": respond(503, "application/json", `{}`),
		"TooMany": respond(429, "application/json", `{}`), "LostAnswer": hangUp,
	}
	if !s.usual.bareBeats {
		answers["Page200"] = respond(200, "text/html", "<html>"+bodyText+"</html>")
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			b := s.beside(t, answer)
			s.wantUnknown(t, s.beat(b))
			if n := len(b.posts()); n != 1 {
				t.Errorf("the broker saw %d requests, want one", n)
			}
		})
	}
	t.Run("NothingListens", func(t *testing.T) {
		req := s.beat(s.beside(t, hangUp))
		s.PointTo(&req.Account, "http://"+deafAddress(t)+"/token")
		s.wantUnknown(t, req)
	})
}

// testBeatIsNoAttempt: it leaves nothing in the spool, and what lies there does not
// keep it from being made.
func testBeatIsNoAttempt(t *testing.T, s trial) {
	status, body := s.usual.Beat(sdk.Alive)
	beats := s.beside(t, respond(status, "application/json", body))
	p := s.fresh(t)
	beat := func() {
		t.Helper()
		before, err := p.Unsettled(call(t))
		if err != nil {
			t.Fatal(err)
		}
		if life, err := p.KeepAlive(call(t), s.beat(beats)); err != nil || life != sdk.Alive {
			t.Errorf("the session is %q, want alive, with %d attempts in the spool: %v", life, len(before.Entries), err)
		}
		if after, err := p.Unsettled(call(t)); err != nil || !reflect.DeepEqual(after, before) {
			t.Errorf("the spool lists %+v (%v) after a beat, and %+v before", after.Entries, err, before.Entries)
		}
	}
	beat()
	if s.way == none {
		return
	}
	if _, err := s.next(call(t), p.Remote, s.request("one", s.newBroker(t, s.grant(s.access(newAccess), newRefresh)))); err != nil {
		t.Fatalf("an attempt beside the beats: %v", err)
	}
	beat()
}

// deafAddress is one at which nothing listens.
func deafAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
