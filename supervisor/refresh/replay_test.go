package refresh_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// failing answers every POST with an error of that kind.
func failing(e sdk.Error) fault {
	e.Message = "what the test wants"
	return fault{refuse: &e}
}

const s = time.Second

// sentAgain are the rows of "What is sent again, and when": what the broker
// does to every request, when after the first one the others come, and how
// many come in ten hours.
var sentAgain = map[string]struct {
	then  string
	fault fault
	first *fault // of the first request alone
	grace time.Duration
	keeps bool          // the broker does not replace refresh tokens
	life  time.Duration // of refresh tokens, as the provider says
	// before the end of the access token it is refreshed, as configured.
	before time.Duration
	// after the first are the next requests, each up to a fifth later, and a
	// second; most is how many there are in ten hours.
	after []time.Duration
	most  int
}{
	"not sent: no connection, a disk that can't be written": {
		then:  "freely: after 2 s, doubling up to 1 min",
		fault: fault{beforeSend: &sdk.Error{Kind: sdk.KindNotSent, Message: "connection refused"}},
		after: []time.Duration{2 * s, 6 * s, 14 * s, 30 * s, 62 * s}, most: 620,
	},
	"sent, no answer, the provider declares a reuse grace": {
		then:  "at once, then after 2 s, doubling, until the grace less a tenth is over; then as without one",
		fault: fault{refuse: sdk.ErrAmbiguous}, grace: 10 * s,
		after: []time.Duration{0, 2 * s, 6 * s, 6*s + 120*s}, most: 130,
	},
	"sent, no answer, the broker does not replace refresh tokens": {
		then:  "after 2 s, doubling up to 1 min: nothing is lost with the answer",
		fault: fault{loseAnswer: true}, keeps: true,
		after: []time.Duration{2 * s, 6 * s, 14 * s, 30 * s, 62 * s}, most: 620,
	},
	"sent, no answer": {
		then:  "at its deadline (30 s); then after 30 s, doubling up to 5 min",
		fault: fault{refuse: sdk.ErrAmbiguous},
		after: []time.Duration{30 * s, 60 * s, 120 * s}, most: 125,
	},
	"the same, the access token ends before that deadline": {
		then:  "10 s before it ends; then as sent, no answer",
		fault: fault{refuse: sdk.ErrAmbiguous}, before: 20 * s,
		after: []time.Duration{10 * s, 40 * s, 100 * s}, most: 125,
	},
	"the same, what was sent dies by itself before its next turn": {
		then:  "once, 30 s before it dies; then as sent, no answer",
		fault: fault{refuse: sdk.ErrAmbiguous}, life: 15*time.Minute + 530*s, // its turns are after 480 s and 780 s
		after: []time.Duration{30 * s, 60 * s, 120 * s, 240 * s, 480 * s, 500 * s, 800 * s}, most: 125,
	},
	"2xx, no whole answer, no token in it, or a page": {
		then:  "as sent, no answer",
		fault: failing(sdk.Error{Kind: sdk.KindAmbiguous, HTTPStatus: 200}),
		after: []time.Duration{30 * s, 60 * s, 120 * s}, most: 125,
	},
	"2xx with a token": {
		then: "never: the new one is used when it is due", most: 41, // of a token that is due after 15 min
	},
	"2xx with a new refresh token alone": {
		then: "never: the new one is used at once, then with the pauses of a failure", fault: fault{half: true},
		after: []time.Duration{0, 4 * s, 12 * s, 28 * s, 60 * s}, most: 620,
	},
	"2xx with the same refresh token alone": {
		then: "after 2 s, doubling up to 1 min", fault: fault{half: true, same: true},
		after: []time.Duration{2 * s, 6 * s, 14 * s, 30 * s, 62 * s}, most: 620,
	},
	"2xx that may hold a token and that nobody could read": {
		then:  "once, 30 s before the refresh token that was sent dies by itself; never by itself if nobody knows when",
		fault: failing(sdk.Error{Kind: sdk.KindAmbiguous, HTTPStatus: 200, Unread: true}), life: 4 * time.Hour,
		after: []time.Duration{3*time.Hour + 44*time.Minute + 30*s}, most: 2,
	},
	"the same, the provider declares a reuse grace": {
		then:  "as sent, no answer, as long as the grace lasts; then as without one",
		fault: failing(sdk.Error{Kind: sdk.KindAmbiguous, HTTPStatus: 200, Unread: true}), life: 4 * time.Hour, grace: 10 * s,
		after: []time.Duration{0, 2 * s, 6 * s, 3*time.Hour + 44*time.Minute + 30*s}, most: 5,
	},
	"invalid_grant": {
		then: "never, unless a person insists", fault: failing(sdk.Error{Kind: sdk.KindInvalidGrant, HTTPStatus: 400}), most: 1,
	},
	"invalid_client": {
		then: "after 1 min, doubling up to 15 min, and 10 s before the token dies if that is earlier", fault: failing(sdk.Error{Kind: sdk.KindInvalidClient, HTTPStatus: 401}),
		after: []time.Duration{60 * s}, most: 45,
	},
	"429, or Retry-After": {
		then: "when the server allows it", fault: failing(sdk.Error{Kind: sdk.KindRateLimited, HTTPStatus: 429, RetryAfter: 50 * s}),
		after: []time.Duration{50 * s, 100 * s}, most: 720,
	},
	"5xx, 4xx without an OAuth error, a redirect": {
		then: "after 2 s, doubling up to 1 min", fault: failing(sdk.Error{Kind: sdk.KindTransient, HTTPStatus: 503}),
		after: []time.Duration{2 * s, 6 * s, 14 * s, 30 * s, 62 * s}, most: 620,
	},
	"any answer but a verdict, while an earlier attempt is open": {
		then:  "as sent, no answer, counted on",
		first: &fault{refuse: sdk.ErrAmbiguous}, fault: failing(sdk.Error{Kind: sdk.KindTransient, HTTPStatus: 503}),
		after: []time.Duration{30 * s, 60 * s, 120 * s}, most: 125,
	},
}

func TestWhatIsSentAgain(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(readme), "\n| the attempt | sent again |\n|---|---|\n")
	table, _, _ := strings.Cut(text, "\n\n")
	rows := strings.Split(table, "\n")
	if len(rows) != len(sentAgain) {
		t.Errorf("the README's table has %d rows, and %d are tried", len(rows), len(sentAgain))
	}
	for name, tt := range sentAgain {
		if !slices.Contains(rows, "| "+name+" | "+tt.then+" |") {
			t.Errorf("the README's table has no row | %s | %s |", name, tt.then)
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 20*time.Minute, "one")
				r.broker.grace, r.broker.policyLife, r.broker.keeps = tt.grace, tt.life, tt.keeps
				if tt.before > 0 {
					r.accounts[0].BeforeExpiry = tt.before
					r.restart()
				}
				if tt.first != nil {
					r.broker.next("one", *tt.first)
				}
				for range 2000 {
					r.broker.next("one", tt.fault)
				}
				g := r.start()
				time.Sleep(10 * time.Hour)
				synctest.Wait()
				sent := r.broker.sentAt
				if tt.fault.beforeSend != nil {
					if sent = r.broker.unsent; r.broker.count() > 0 {
						t.Errorf("%d requests that were not to be sent", r.broker.count())
					}
				}
				if len(sent) > tt.most || len(sent) == 0 {
					t.Errorf("%d requests in ten hours, want at most %d", len(sent), tt.most)
				}
				for i, want := range tt.after {
					if i+1 >= len(sent) {
						t.Fatalf("only %d requests", len(sent))
					}
					got := sent[i+1].Sub(sent[0])
					if got < want || got > want+want/5+s {
						t.Errorf("request %d came after %s, want %s", i+2, got, want)
					}
				}
				_ = g.end()
			})
		})
	}
}

// A supervisor that is started again and again sends no more than one that runs
// on, and tells when.
func TestReplaysOverRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		defer r.watch()()
		for range 2000 {
			r.broker.next("one", fault{refuse: sdk.ErrAmbiguous})
		}
		for range 4 * 60 {
			g := r.start()
			time.Sleep(15 * time.Second)
			synctest.Wait()
			_ = g.end()
			r.restart()
		}
		if n := r.broker.count(); n < 8 || n > 16 {
			t.Errorf("%d requests in 45 minutes with restarts", n)
		}
	})
}

// Who insists decides about one request: what lies unread holds back those after it,
// and its file is the one that is named.
func TestInsistingEndsNoHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		page := failing(sdk.Error{Kind: sdk.KindAmbiguous, HTTPStatus: 200})
		r.broker.next("one", page, failing(sdk.Error{Kind: sdk.KindAmbiguous, HTTPStatus: 200, Unread: true}), page, page, page, page)
		g := r.start()
		time.Sleep(time.Hour)
		synctest.Wait()
		unread := r.status("one").Unread
		if in, ok, err := r.store.Intent(t.Context(), "one"); err != nil || !ok || unread != in.Attempt || in.Replays == "" {
			t.Fatalf("the unread answer is of %q, the intent %+v, %v", unread, in, err)
		}
		for n := 3; n <= 4; n++ {
			if _, err := r.keeper.Refresh(t.Context(), "one", true); err == nil {
				t.Fatal("a page was taken for a token")
			}
			time.Sleep(48 * time.Hour)
			synctest.Wait()
			if got := r.broker.count(); got != n {
				t.Errorf("%d requests, want %d", got, n)
			}
			if st := r.status("one"); st.Unread != unread {
				t.Errorf("the unread answer is said to be of %q, not of %q any more", st.Unread, unread)
			}
		}
		_ = g.end()
	})
}

// What is open can be sent at once by a person who insists, and not otherwise.
func TestAPersonDecidesAboutAnOpenAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		defer r.watch()()
		r.broker.next("one", failing(sdk.Error{Kind: sdk.KindAmbiguous, HTTPStatus: 200, Unread: true}))
		g := r.start()
		time.Sleep(48 * time.Hour)
		synctest.Wait()
		if n := r.broker.count(); n != 1 {
			t.Errorf("%d requests while the answer lay unread", n)
		}
		_, err := r.keeper.Refresh(t.Context(), "one", false)
		if err == nil || !strings.Contains(err.Error(), "tokenkeeper refresh one --force") || r.broker.count() != 1 {
			t.Errorf("without insisting: %v, %d requests", err, r.broker.count())
		}
		r.mu.Lock()
		said := ""
		for _, e := range r.events {
			if e.Type == event.Ambiguous {
				said = e.Message
			}
		}
		r.mu.Unlock()
		if !strings.Contains(said, "is not sent again by itself") || !strings.Contains(said, "tokenkeeper login one") {
			t.Errorf("told: %q", said)
		}
		if _, err := r.keeper.Refresh(t.Context(), "one", true); err != nil {
			t.Error(err)
		}
		if st := r.status("one"); st.State != refresh.Valid || st.Record.Version != 2 {
			t.Errorf("%s at version %d", st.State, st.Record.Version)
		}
		_ = g.end()
	})
}
