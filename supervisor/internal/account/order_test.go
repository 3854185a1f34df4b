package account

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// walk is an account to which anything happens.
type walk struct {
	*rapid.T
	state State
	now   time.Time
	names int
}

func (w *walk) name() string {
	w.names++
	return fmt.Sprintf("a%d", w.names)
}

// event draws something that may happen; often it fits what stands.
func (w *walk) event() Event {
	ours := w.state.Standing.Record()
	fingerprint := ours.Token.RefreshToken.Fingerprint()
	standing, isOpened := opened(uncut(w.state.Stage))
	in := standing.Intent
	if u, ok := w.state.Stage.(Unknown); ok {
		in = u.Intent
	}
	next := record(ours.Version+1, fmt.Sprint("token", ours.Version+1))
	all := happenings()
	switch e := all[rapid.IntRange(0, len(all)-1).Draw(w.T, "event")].event.(type) {
	case Unanswered:
		e.Terms.Stays, e.Terms.MintsBeside = rapid.Bool().Draw(w.T, "stays"), rapid.Bool().Draw(w.T, "mints beside")
		return e
	case Spend:
		e.Terms.Stays, e.Terms.MintsBeside = rapid.Bool().Draw(w.T, "stays"), rapid.Bool().Draw(w.T, "mints beside")
		e.Terms.Over = rapid.Bool().Draw(w.T, "over")
		e.Asked, e.Insisted = rapid.Bool().Draw(w.T, "asked"), rapid.Bool().Draw(w.T, "insisted")
		e.Login = rapid.SampledFrom([]time.Time{{}, w.now.Add(-time.Second), w.now.Add(time.Minute), w.now.Add(3 * time.Hour)}).Draw(w.T, "login")
		return e
	case Announced:
		e.Intent.Attempt, e.Intent.Fingerprint = w.name(), fingerprint
		if e.Intent.Replays != "" && in.Kind != spool.KindExchange {
			e.Intent.Kind = in.Kind
		}
		if e.Intent.Kind == spool.KindMint {
			e.Intent.Fingerprint = ours.Key
		}
		if e.Intent.Before != nil {
			e.Intent.Before = &in
		}
		if e.Intent.Replays != "" && marked(in) != nil {
			e.Intent.AmbiguousSince = in.AmbiguousSince
		}
		return e
	case Moved:
		e.Intent = in
		e.Intent.Attempt = w.name()
		return e
	case Calls:
		if rapid.Bool().Draw(w.T, "fits") {
			e.Intent = in
		}
		return e
	case Stored:
		return Stored{next}
	case Beside:
		return Beside{ours}
	case NotStored:
		return NotStored{&next}
	case Marked:
		e.Intent.Attempt = in.Attempt
		return e
	case Denied:
		if in.Kind == spool.KindMint {
			return Denied{in.Fingerprint}
		}
		return Denied{fingerprint}
	case Judged:
		if in.Kind == spool.KindMint {
			return Judged{keyRefused(ours)}
		}
		return Judged{refused(ours)}
	case GivenUp:
		return GivenUp{w.state.GivingUp()}
	case Keyed:
		return Keyed{rapid.SampledFrom([]string{"", ourKey, "another key"}).Draw(w.T, "key")}
	case Found:
		if isOpened && rapid.Bool().Draw(w.T, "fits") {
			e.Intent = in
		}
		return e
	case Taken:
		if rapid.Bool().Draw(w.T, "the same") {
			same := ours
			same.Version, same.Origin = ours.Version+1, store.OriginImport
			return Taken{same}
		}
		if rapid.Bool().Draw(w.T, "found") {
			return Taken{found(ours.Version+1, fmt.Sprint("found", ours.Version+1), ours)}
		}
		return Taken{next}
	case Reread, Corrected:
		ours.Way = rapid.SampledFrom([]store.Way{ours.Way, ours.Way, ours.Way, store.WayRefresh, store.WayMint, store.WayLogin}).Draw(w.T, "way")
		return Reread{ours}
	default:
		return e
	}
}

// happens tells the account of e, and looks whether what always holds still does.
func (w *walk) happens(e Event) {
	before := w.state
	after, does, err := Next(before, e, w.now)
	fail := func(why string) {
		w.Helper()
		w.Fatalf("%s: %s, %s by %q became %s, %s, and does: %s", why,
			before.Standing.name(), attemptName(before.Stage), e.event(), after.Standing.name(), attemptName(after.Stage), does)
	}
	if err != nil {
		if !reflect.DeepEqual(before, after) || does != Wait {
			fail("an impossible event has changed something")
		}
		return
	}
	w.state = after
	if after.Course != before.Course {
		fail("it was paused or resumed by what happened to it")
	}
	var installed bool // an event after which another record stands, or another attempt
	switch e.(type) {
	case Stored, Taken, Judged:
		installed = true
	}
	had, has := before.Standing.Record(), after.Standing.Record()
	if !installed && (had.Version != has.Version || !had.Token.RefreshToken.Equal(has.Token.RefreshToken) || len(had.Before) != len(has.Before)) {
		fail("a record was lost")
	}
	if _, spend := e.(Spend); does == Announce && !spend {
		fail("announces though nobody has looked for a newer token")
	}
	if s, ok := e.(Spend); ok && does == Announce {
		_, refused := before.Standing.(Refused)
		kind := before.At(s.Terms, w.now).Kind()
		u, unknown := before.Stage.(Unknown)
		at, _ := before.At(s.Terms, w.now).Replay()
		_, paused := before.Pause(w.now)
		switch {
		case paused && !s.Insisted:
			fail("an attempt of a paused account is made")
		case kind == spool.KindMint && had.Key == "" && !unknown, kind != spool.KindMint && had.Version == 0:
			fail("sends what there is not")
		case kind == spool.KindMint && !unknown && !s.Asked && !had.CanMint():
			fail("a refused key is sent by itself")
		case !s.Insisted && s.Login.After(w.now) && before.Expiry().Sub(w.now) > beforeDeath && !had.Token.IssuedAt.After(w.now):
			fail("an attempt is made while a login is open, and the token lives")
		case kind != spool.KindMint && refused && !unknown && !s.Asked:
			fail("a refused token is sent by itself")
		case unknown && (u.Lingering != nil || !s.Insisted && (at.IsZero() || at.After(w.now))):
			fail("an unknown attempt is made again before its moment")
		}
	}
	if s, ok := e.(Spend); ok && does == End && before.Ambiguous() != nil {
		in := before.Ambiguous()
		at, _ := before.At(s.Terms, w.now).Replay()
		switch {
		case in.Kind == spool.KindMint && had.Key != "":
			fail("a mint is given up whose key there is")
		case in.Kind != spool.KindMint && !had.CanMint() && KindOf(had.Way) == in.Kind:
			fail("what may have used up all that there is is given up")
		case !at.IsZero() && !s.Terms.Over && in.Kind != spool.KindMint && had.Version > 0 && KindOf(had.Way) == in.Kind:
			fail("an attempt is given up that would be made again")
		}
	}
	if _, ok := e.(GivenUp); ok {
		if in := before.Ambiguous(); in.Kind != spool.KindMint && had.CanMint() && had.Spends().Fingerprint() == in.Fingerprint &&
			after.At(Terms{}, w.now).Kind() != spool.KindMint {
			fail("what was given up is sent again")
		}
	}
	if o, ok := opened(before.Stage); ok && o.Intent.Kind == spool.KindMint && !installed && had.Health.NeedsLogin != has.Health.NeedsLogin {
		fail("a mint has refused the refresh token")
	}
	if before.IsAnswered() && (does == Announce || does == Call) {
		fail("what was answered is sent again")
	}
	_, found := e.(Found)
	_, notFound := e.(NotFound)
	if before.Held() != nil && after.Held() == nil && !installed && !found && !notFound {
		fail("an answer was forgotten")
	}
	if before.Held() != nil && after.IsAnswered() && after.Held() != before.Held() {
		fail("another token is served from memory")
	}
	_, givenUp := e.(GivenUp)
	if before.Ambiguous() != nil && after.Ambiguous() == nil && !installed && !givenUp && !found && !notFound {
		fail("that an attempt may have used up the token was forgotten")
	}
	for o, ok := opened(uncut(after.Stage)); ok; o, ok = opened(uncut(o.Over)) {
		under, two := o.Over.(Open)
		_, cut := after.Stage.(Cut)
		switch {
		case two && cut:
			fail("an attempt is under way in a process that is gone")
		case two && (o.Intent.Kind != spool.KindExchange || under.Intent.Kind == spool.KindExchange):
			fail("two attempts are open")
		}
	}
}

// TestAnyOrder: whatever happens in which order, what the package promises holds.
func TestAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &walk{T: t, now: now}
		course := rapid.SampledFrom([]Course{Runs{}, Paused{store.Pause{Since: begun}}, Paused{store.Pause{Until: now.Add(10 * time.Minute)}}}).Draw(t, "course")
		w.state = State{rapid.SampledFrom(standings()).Draw(t, "standing").Standing, Attempt{Free{}}, course}
		for range rapid.IntRange(1, 60).Draw(t, "events") {
			w.now = w.now.Add(time.Duration(rapid.IntRange(-5, 90).Draw(t, "seconds")) * time.Second)
			w.happens(w.event())
		}
	})
}

// TestFailedLoginChangesNothing: a login over any attempt that fails leaves it,
// and the token, exactly as they were.
func TestFailedLoginChangesNothing(t *testing.T) {
	for n, s := range append(standings(), standings()...) {
		for _, a := range attempts() {
			before := State{s.Standing, Attempt{a.stage}, Runs{}}
			in := login("a2", &store.Intent{})
			if n < len(standings()) { // the store has nothing of what was there
				in.Before = nil
			}
			after, _, err := Next(before, Announced{in}, now)
			if err != nil {
				continue
			}
			cut := before
			if isOpen(before.Stage) { // its process is gone, too
				cut.Stage = Cut{Of: before.Stage}
			}
			for _, end := range []struct {
				events []Event
				want   State
			}{
				{[]Event{Calls{in}, NotEnded{}, Ended{}}, before},
				{[]Event{Calls{in}, Lost{}, Found{in}, Calls{in}, NotEnded{}, Ended{}}, cut},
			} {
				s := after
				for _, e := range end.events {
					if s, _, err = Next(s, e, now); err != nil {
						t.Fatal(err)
					}
				}
				if !reflect.DeepEqual(end.want, s) {
					t.Errorf("%s, %s became %#v", before.Standing.name(), a.name, s)
				}
			}
		}
	}
}

// TestFailureIsCountedOnce: however often the store does not take it.
func TestFailureIsCountedOnce(t *testing.T) {
	s := State{StandingOf(record(3, "ours")), Attempt{Open{Intent: intent("a1")}}, Runs{}}
	for range 3 {
		for _, e := range []Event{Calls{intent("a1")}, Failed{Kind: sdk.KindTransient, Error: "down", At: now}, NotEnded{}} {
			var err error
			if s, _, err = Next(s, e, now); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := s.Standing.Record().Health.Failures; n != 1 {
		t.Errorf("counted %d times", n)
	}
}
