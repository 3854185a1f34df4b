package event

import (
	"cmp"
	"log/slog"
	"sync"
	"time"
)

// Fact is a trouble that a room has met and that no other state of it shows. It
// is over when the room says so, or when it was met last as long ago as its type
// [Type.Fades]. It never holds a secret.
type Fact struct {
	Type Type
	// What it concerns; the others are empty.
	Provider, Account string
	// Since is when it was met first, At when last.
	Since, At time.Time
	// What is wrong and what to do, for a person.
	What string
}

// Fades is how long nothing may be met of a trouble of which nobody can know
// that it is over, before it counts as over; 0: there are no facts of that type.
func (t Type) Fades() time.Duration {
	switch t {
	case StoreRestored:
		return 24 * time.Hour
	case StoreDisplaced: // the store is written anew at once, and looked at each half minute
		return 10 * time.Minute
	case RivalRefresher, FoundRefused, PlanMended, DiskTrouble, Untrusted:
		return time.Hour
	}
	return 0
}

// ToldOnce says whether an alert of that type is not repeated while it lasts: nobody can
// do more about it than know.
func (t Type) ToldOnce() bool { return t == LoginUnknown }

// Announced says whether whoever meets such a trouble tells it at once as an
// event of his own, of each account and with what to do: its alert then tells no
// more than what becomes of it.
func (t Type) Announced() bool {
	switch t {
	case NeedsLogin, Ambiguous, UnknownToken, LoginWaits, GrantedElsewhere, SharedFileHeld, ProviderParked, SinkParked, SinkDisabled, OtherMachine, ReloadFailed:
		return true
	}
	return t.Fades() > 0
}

// Facts are what one room keeps, at most one of each type and subject. It is
// safe for concurrent use.
type Facts struct {
	bus *Bus

	mu   sync.Mutex
	kept map[subject]Fact
}

// subject is a type and what it is of: an account, a provider or "".
type subject struct {
	is Type
	of string
}

// NewFacts is for one room that publishes on the bus.
func (b *Bus) NewFacts() *Facts { return &Facts{bus: b, kept: map[subject]Fact{}} }

// Meet publishes that a trouble was met, and keeps it as a fact. To the log it is
// news once.
func (f *Facts) Meet(level slog.Level, e Event) {
	now := f.bus.now()
	if f.keep(Fact{Type: e.Type, Provider: e.Provider, Account: e.Account, Since: now, At: now, What: e.Message}) {
		level = slog.LevelDebug
	}
	f.bus.Publish(level, e)
}

// Keep keeps a fact. Of two that are the same trouble, what was met last counts.
func (f *Facts) Keep(fact Fact) { f.keep(fact) }

// keep says whether the same was kept already, word for word.
func (f *Facts) keep(fact Fact) (known bool) {
	f.mu.Lock()
	key := subject{fact.Type, cmp.Or(fact.Account, fact.Provider)}
	if before, ok := f.kept[key]; ok && !before.faded(f.bus.now()) {
		known = before.What == fact.What
		if before.At.After(fact.At) {
			before, fact = fact, before
		}
		if before.Since.Before(fact.Since) {
			fact.Since = before.Since
		}
	}
	f.kept[key] = fact
	f.mu.Unlock()
	f.bus.Nudge()
	return known
}

// clockTolerance is how far a moment of the past may lie ahead before the clock
// must have been set back.
const clockTolerance = 5 * time.Minute

// faded says whether nothing was met of it for so long that it counts as over.
func (f Fact) faded(now time.Time) bool {
	age := now.Sub(f.At)
	return age >= f.Type.Fades() || age < -clockTolerance
}

// End forgets a trouble that is over, of an account, a provider or "".
func (f *Facts) End(t Type, of string) {
	f.mu.Lock()
	key := subject{t, of}
	_, ok := f.kept[key]
	delete(f.kept, key)
	f.mu.Unlock()
	if ok {
		f.bus.Nudge()
	}
}

// All returns the facts that have not faded.
func (f *Facts) All() []Fact {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []Fact
	for key, fact := range f.kept {
		if fact.faded(f.bus.now()) {
			delete(f.kept, key)
			continue
		}
		all = append(all, fact)
	}
	return all
}
