package refresh_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// loginAs logs a person in, whose grant stands beside the one that there is;
// "": the broker says nothing of persons.
func (r *rig) loginAs(account, person string) (store.Record, error) {
	r.t.Helper()
	r.broker.who, r.broker.beside = "", false
	if person != "" {
		r.broker.who = "e30." + base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"https://broker.invalid","sub":"`+person+`","name":"`+person+`"}`)) + ".x"
		r.broker.beside = person != "alice"
	}
	return r.keeper.CompleteLogin(r.t.Context(), account, r.beginLogin(account), "code-"+account)
}

// alices is a rig with an account whose login is Alice's.
func alices(t *testing.T) (*rig, *generation) {
	r := newRig(t, 20*time.Minute, "one")
	g := r.start()
	synctest.Wait()
	if _, err := r.loginAs("one", "alice"); err != nil {
		t.Fatal(err)
	}
	return r, g
}

func TestALoginOfAnotherPersonWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, g := alices(t)
		defer r.watch()()
		before := r.record("one")
		r.keeper.Changed()
		_, err := r.loginAs("one", "bob")
		if !r.keeper.Changed()["one"] {
			t.Error("nobody looks whether it is an alert")
		}
		if !errors.Is(err, refresh.ErrAnotherPerson) {
			t.Fatalf("the login: %v", err)
		}
		for _, want := range []string{"bob (", "alice (", "tokenkeeper login one --confirm", "tokenkeeper login one --discard", "goes on being refreshed"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("it says %q, want %q in it", err, want)
			}
		}
		rec := r.record("one")
		if rec.Version != before.Version || !rec.Token.RefreshToken.Equal(before.Token.RefreshToken) || rec.Candidate == nil {
			t.Fatalf("version %d with the candidate %+v", rec.Version, rec.Candidate)
		}
		waiting := *rec.Candidate
		if what, ways := refresh.CandidateText(rec, time.Now()); !strings.Contains(what, "bob (") || !strings.Contains(ways, "tokenkeeper login one --discard") {
			t.Errorf("an alert says %q, %q", what, ways)
		}
		over := waiting
		over.RefreshExpiry = time.Now()
		if what, _ := refresh.CandidateText(store.Record{Account: "one", Candidate: &over}, time.Now()); what != "" {
			t.Errorf("after its end an alert says %q", what)
		}
		synctest.Wait() // what is told is counted by another goroutine
		if s := r.status("one"); s.State != refresh.Valid || r.count(event.LoginWaits) != 1 || r.count(event.LoginFailed) != 0 {
			t.Errorf("the account is %s, told %d times", s.State, r.count(event.LoginWaits))
		}
		// Alice's goes on, and so it does after a restart.
		time.Sleep(16 * time.Minute)
		synctest.Wait()
		_ = g.end()
		r.restart()
		g = r.start()
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		if rec = r.record("one"); rec.Version != before.Version+2 || rec.Candidate == nil || rec.GrantedTo.Person.Name != "alice" {
			t.Fatalf("version %d of %s with the candidate %v, want two refreshes", rec.Version, rec.GrantedTo.Person, rec.Candidate)
		}
		if len(r.broker.sentTwice()) > 0 || r.broker.refusals() > 0 {
			t.Errorf("%d sent twice, %d refused", len(r.broker.sentTwice()), r.broker.refusals())
		}

		r.broker.expect("one", waiting.Token)
		got, err := r.keeper.ConfirmLogin(t.Context(), "one")
		if err != nil {
			t.Fatal(err)
		}
		if got.Version != rec.Version+1 || got.Origin != store.OriginLogin || got.Grant != rec.Grant+1 || got.Candidate != nil || got.GrantedTo.Person.Name != "bob" ||
			!got.Token.RefreshToken.Equal(waiting.Token.RefreshToken) || !got.LoginAt.Equal(waiting.LoginAt) || got.Attempt != waiting.Attempt {
			t.Errorf("confirmed: %+v", got)
		}
		if stored := r.record("one"); stored.Version < got.Version || stored.Candidate != nil { // it may have been refreshed already: see below
			t.Errorf("stored: version %d, candidate %v", stored.Version, stored.Candidate)
		}
		if !got.Replaced(rec.Token.RefreshToken.Fingerprint()) {
			t.Error("Alice's refresh token would be taken for an unknown one")
		}
		if _, err := r.keeper.ConfirmLogin(t.Context(), "one"); !errors.Is(err, refresh.ErrNoCandidate) {
			t.Errorf("confirmed again: %v", err)
		}
		// Its access token died while it waited: it is refreshed at once.
		time.Sleep(time.Second)
		synctest.Wait()
		if rec := r.record("one"); rec.Version != got.Version+1 || rec.GrantedTo.Person.Name != "bob" {
			t.Errorf("version %d of %s, want the next", rec.Version, rec.GrantedTo.Person)
		}
		// The next login is compared with Bob.
		if _, err := r.loginAs("one", "carol"); !errors.Is(err, refresh.ErrAnotherPerson) || !strings.Contains(err.Error(), "account of bob (") {
			t.Errorf("Carol's login: %v", err)
		}
		_ = g.end()
	})
}

func TestALoginOfAnotherPersonIsDiscarded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, g := alices(t)
		defer r.watch()()
		if _, err := r.keeper.DiscardLogin(t.Context(), "one"); !errors.Is(err, refresh.ErrNoCandidate) {
			t.Errorf("nothing waits: %v", err)
		}
		if _, err := r.keeper.DiscardLogin(t.Context(), "nobody"); !errors.Is(err, refresh.ErrUnknownAccount) {
			t.Errorf("an unknown account: %v", err)
		}
		before := r.record("one")
		for _, person := range []string{"bob", "carol"} { // who comes last waits
			if _, err := r.loginAs("one", person); !errors.Is(err, refresh.ErrAnotherPerson) {
				t.Fatal(err)
			}
		}
		if person, err := r.keeper.DiscardLogin(t.Context(), "one"); err != nil || person.Name != "carol" {
			t.Errorf("discarded %v, %v", person, err)
		}
		if rec := r.record("one"); rec.Version != before.Version || rec.Candidate != nil {
			t.Errorf("version %d, candidate %v", rec.Version, rec.Candidate)
		}
		time.Sleep(16 * time.Minute)
		synctest.Wait()
		if rec := r.record("one"); rec.Version != before.Version+1 {
			t.Errorf("version %d after 16 minutes", rec.Version)
		}
		_ = g.end()
	})
}

// An id_token that names nobody who can be told is no reason to take a login for
// that of the account's person, or to forget who that is.
func TestALoginWhosePersonCantBeReadWaits(t *testing.T) {
	for name, idToken := range map[string]string{
		"no subject":   "e30." + base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"https://broker.invalid","name":"bob"}`)) + ".x",
		"a number":     "e30." + base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"https://broker.invalid","sub":7}`)) + ".x",
		"no token":     "garbage",
		"encrypted":    "a.b.c.d.e",
		"not encoded":  "e30.{}.x",
		"no object":    "e30." + base64.RawURLEncoding.EncodeToString([]byte(`[1]`)) + ".x",
		"more than it": "e30." + base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"https://broker.invalid","sub":"alice"} x`)) + ".x",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, g := alices(t)
				defer r.watch()()
				before := r.record("one")
				r.broker.who, r.broker.beside = idToken, true
				if _, err := r.keeper.CompleteLogin(t.Context(), "one", r.beginLogin("one"), "code-one"); !errors.Is(err, refresh.ErrAnotherPerson) {
					t.Errorf("the login: %v", err)
				}
				if rec := r.record("one"); rec.Version != before.Version || rec.Candidate == nil || rec.GrantedTo.Person.Name != "alice" {
					t.Errorf("version %d of %s, candidate %v", rec.Version, rec.GrantedTo.Person, rec.Candidate)
				}
				_ = g.end()
			})
		})
	}
}

// Where nothing is known of who it is, and where it is the same, a login is what it
// always was; the last one who was named is known by it all the same.
func TestALoginOfTheSamePersonOrOfNobody(t *testing.T) {
	for name, people := range map[string][]string{
		"the same": {"alice"}, "nobody": {""}, "nobody and then somebody": {"", "alice"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, g := alices(t)
				defer r.watch()()
				before := r.record("one")
				for _, person := range people {
					if _, err := r.loginAs("one", person); err != nil {
						t.Fatalf("%q: %v", person, err)
					}
				}
				last := people[len(people)-1]
				if rec := r.record("one"); rec.Version != before.Version+uint64(len(people)) || rec.Candidate != nil ||
					rec.GrantedTo.Person.Name != "alice" || rec.GrantedTo.Person.Assumed != (last == "") {
					t.Errorf("version %d of %v, candidate %v", rec.Version, rec.GrantedTo.Person, rec.Candidate)
				}
				// Whoever is not named makes nobody forget who was.
				if _, err := r.loginAs("one", "bob"); !errors.Is(err, refresh.ErrAnotherPerson) {
					t.Errorf("another person after that: %v", err)
				}
				_ = g.end()
			})
		})
	}
}

// An attempt of which nobody knows the outcome stands again beside the candidate,
// and the answer to such a login is as durable as any: the process dies in each
// window, or the disk does not take it.
func TestDeathDuringALoginOfAnotherPerson(t *testing.T) {
	for name, w := range map[string]window{"before it is sent": beforeSend, "answered": answered, "spooled": spooled, "none": nowhere} {
		for _, ambiguous := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r, g := alices(t)
					if ambiguous {
						r.broker.next("one", fault{loseAnswer: true})
						time.Sleep(15*time.Minute + 100*time.Millisecond)
						synctest.Wait()
					}
					before := r.record("one")
					if w != nowhere {
						r.broker.next("one", fault{die: w, kill: func() { g.kill() }})
					}
					if _, err := r.loginAs("one", "bob"); err == nil {
						t.Fatal("the login went well")
					}
					if w != nowhere {
						g.stop()
						<-g.done
						r.restart()
						g = r.start()
						synctest.Wait()
					}
					rec := r.record("one")
					if rec.Version != before.Version || (rec.Candidate != nil) != (w == spooled || w == nowhere) {
						t.Errorf("version %d, candidate %v", rec.Version, rec.Candidate)
					}
					s := r.status("one")
					if in, open, err := r.store.Intent(t.Context(), "one"); err != nil || open != ambiguous || open && in.AmbiguousSince.IsZero() {
						t.Errorf("the intent %+v stands: %v, %v", in, open, err)
					}
					if s.AmbiguousSince.IsZero() == ambiguous {
						t.Errorf("ambiguous since %s", s.AmbiguousSince)
					}
					_ = g.end()
				})
			})
		}
	}
}

// What waits too long can't be confirmed, and half a token does not wait at all.
func TestALoginThatCantWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigWith(t, 20*time.Minute, 2*time.Hour, "one")
		r.broker.policyLife = 2 * time.Hour
		g := r.start()
		synctest.Wait()
		if _, err := r.loginAs("one", "alice"); err != nil {
			t.Fatal(err)
		}
		r.broker.next("one", fault{half: true})
		if _, err := r.loginAs("one", "bob"); err == nil || errors.Is(err, refresh.ErrAnotherPerson) || !strings.Contains(err.Error(), "no whole token") {
			t.Errorf("half a token: %v", err)
		}
		if rec := r.record("one"); rec.Candidate != nil || rec.GrantedTo.Person.Name != "alice" {
			t.Errorf("it waits: %v", rec.Candidate)
		}
		_, err := r.loginAs("one", "bob")
		if !errors.Is(err, refresh.ErrAnotherPerson) || !strings.Contains(err.Error(), "works until ") {
			t.Fatal(err)
		}
		time.Sleep(2*time.Hour + time.Second)
		if _, err := r.keeper.ConfirmLogin(t.Context(), "one"); !errors.Is(err, refresh.ErrCandidateOver) {
			t.Errorf("confirmed after its end: %v", err)
		}
		if rec := r.record("one"); rec.GrantedTo.Person.Name != "alice" || rec.Version < 5 {
			t.Errorf("version %d of %v", rec.Version, rec.GrantedTo.Person)
		}
		_ = g.end()
	})
}

// A person confirms while a token is served from memory: that one is stored
// first, because sinks have it under its number.
func TestALoginIsConfirmedOverATokenInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, g := alices(t)
		_ = g.end()
		disk := &badDisk{Store: r.store}
		r.store = disk
		r.restart()
		defer r.watch()()
		g = r.start()
		synctest.Wait()
		if _, err := r.loginAs("one", "bob"); !errors.Is(err, refresh.ErrAnotherPerson) {
			t.Fatal(err)
		}
		disk.fail(false, true)
		time.Sleep(16 * time.Minute)
		synctest.Wait()
		held := r.record("one")
		if !held.Held {
			t.Fatal("nothing is served from memory")
		}
		disk.fail(false, false)
		r.broker.expect("one", held.Candidate.Token)
		rec, err := r.keeper.ConfirmLogin(t.Context(), "one")
		if err != nil || rec.Version != held.Version+1 || rec.GrantedTo.Person.Name != "bob" {
			t.Errorf("confirmed as version %d of %s over %d: %v", rec.Version, rec.GrantedTo.Person, held.Version, err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if s := r.status("one"); s.State != refresh.Valid || r.count(event.RefreshFailed) > 0 {
			t.Errorf("state %s: %+v", s.State, s.Record.Health)
		}
		_ = g.end()
	})
}
