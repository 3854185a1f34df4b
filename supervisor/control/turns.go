package control

import (
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/trust"
)

const (
	// turnsAtOnce are so many refreshes of an account that one user's programs get for
	// themselves, one after the other, and then one in each turnEvery: six an hour.
	turnsAtOnce = 6
	turnEvery   = 10 * time.Minute
	// turnsWindow is how long a turn counts.
	turnsWindow = turnsAtOnce * turnEvery
	// mostTurns are so many users and accounts that are remembered at a time.
	mostTurns = 10_000
)

// turns are the refreshes that programs have asked for because a token would not do. Each
// user has his own, of each account: the one whose program goes wrong, and asks again and
// again, does not have the broker asked for ever, and leaves others theirs.
type turns struct {
	mu sync.Mutex
	of map[reading]*turn
}

// turn is what one user has had of one account.
type turn struct {
	// all is when he has all his turns again, and last when he had one.
	all, last time.Time
	told      bool // that he has had them all, since when he last had none
}

// take is one turn of a user and account, or why there is none, until when. One that is the
// last that the broker allows is not for who has had one within the hour. first: that has to
// be told.
func (s *turns) take(of reading, last bool, now time.Time) (refused *Error, first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.of[of]
	if t == nil {
		s.forget(now)
		t = &turn{}
		s.of[of] = t
	}
	if !t.all.After(now) {
		t.told = false
	}
	often := true
	until, why := t.all.Add(turnEvery-turnsWindow), fmt.Sprintf("it was refreshed %d times for programs of your user in a row, and now is once in %s", turnsAtOnce, moment.Span(turnEvery))
	if again := t.last.Add(turnsWindow); last && !t.last.IsZero() && again.After(until) {
		often = false
		until, why = again, "the broker allows one more for programs, which is left for those of another user"
	}
	if !until.After(now) {
		t.all, t.last = later(t.all, now).Add(turnEvery), now
		return nil, false
	}
	if often {
		first, t.told = !t.told, true
	}
	refused = Errorf(CodeNotYet, "account %s: no newer token for you before %s: %s. If the broker's API refuses a token that has just come, "+
		"look at what it says: the next one will be refused as well. A person refreshes by tokenkeeper refresh %[1]s --force",
		of.account, until.UTC().Format(time.RFC3339), why)
	refused.RetryAt, refused.plain = until, true
	return refused, first
}

// forget makes room: who has all his turns is as one who never came.
func (s *turns) forget(now time.Time) {
	if s.of == nil {
		s.of = map[reading]*turn{}
	}
	for of, t := range s.of {
		if len(s.of) >= mostTurns && !t.all.After(now) {
			delete(s.of, of)
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// inTurn has a token fetched that may have to come first, within the turns of who asks.
func (s *Server) inTurn(r *http.Request, req TokenRequest) (TokenAnswer, error) {
	first := false
	req.May = func(last bool) error {
		refused, told := s.turns.take(reading{peerOf(r).UID, req.Account}, last, time.Now())
		if refused == nil {
			return nil
		}
		first = told
		return refused
	}
	got, err := s.backend.UsableToken(r.Context(), req)
	if first {
		by := caller(r)
		s.events.Publish(slog.LevelWarn, event.Event{
			Type: event.Audit, Account: req.Account, Act: &event.Act{Name: "token/newer", Caller: by},
			Message: trust.Here().User(int(by.UID)) + " asks again and again for newer tokens than the broker has just given, and has to wait in between from now on. " +
				"See what the broker's API says to the program, and whether it asks because of a refusal alone; control.readers in the configuration lets it read, or no more",
		})
	}
	return got, err
}
