package account

import (
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Event is something that has happened to an account. What is said to be durable
// is, before the event is told.
type Event interface{ event() string }

type (
	// Due: the account has its turn.
	Due struct{}
	// Spend: nothing newer was found anywhere, and all that is left is to send what the
	// account has. Asked: somebody waits for that; Insisted: whatever speaks
	// against it. Login is until when a login is open that a person has begun; zero:
	// none is.
	Spend struct {
		Asked, Insisted bool
		Login           time.Time
		Terms           Terms
	}
	// Announced: the intent stands in the store, in place of whatever stood there.
	Announced struct{ Intent store.Intent }
	// NotAnnounced: the store did not take an announcement, or nobody knows whether
	// it did; or it has another one than was thought.
	NotAnnounced struct{}
	// Moved: an attempt that was not sent was announced under another id, for
	// another spool.
	Moved struct{ Intent store.Intent }
	// Calls: the provider is about to be asked to make the announced attempt, or
	// for what became of it.
	Calls struct{ Intent store.Intent }
	// Lost: the connection broke before the outcome came.
	Lost struct{}
	// Stored: the token that the attempt brought is durable, and its intent over.
	Stored struct{ Record store.Record }
	// Beside: the token of a login is durable, and its intent over; but another
	// person has logged in, so that it is Record's candidate, and Record stands.
	Beside struct{ Record store.Record }
	// NotStored: the store did not take that. Next is served from memory; nil: it
	// can't be.
	NotStored struct{ Next *store.Record }
	// Failed: an attempt, or what has to come before it, failed.
	Failed struct {
		Kind  sdk.Kind
		Error string
		At    time.Time
	}
	// Ended: the end of an attempt that failed, or was never sent, is durable.
	Ended struct{}
	// NotEnded: the store did not take the end of it.
	NotEnded struct{}
	// Unanswered: the attempt was perhaps sent, and its answer can't come any more.
	Unanswered struct{ Terms Terms }
	// Marked: the intent says that nobody knows the attempt's outcome.
	Marked struct{ Intent store.Intent }
	// Denied: the broker refused what was sent, which has that fingerprint.
	Denied struct{ Fingerprint string }
	// NothingElse: no other token was found in the place of a refused one.
	NothingElse struct{}
	// Judged: the end of an attempt that was refused is durable, and so is Record's
	// health.
	Judged struct{ Record store.Record }
	// GivenUp: the end of an attempt of which nobody knows the outcome is durable, and
	// so is Record's health, as [State.GivingUp] has it: the account goes on without.
	GivenUp struct{ Record store.Record }
	// Found: a generation begins, and the store has that intent. The spool is
	// compared next.
	Found struct{ Intent store.Intent }
	// NotFound: a generation begins, and the store has no intent.
	NotFound struct{}
	// NotSettled: the store and the spool could not be compared, or what that
	// showed not be made durable; Disk: because of the disk.
	NotSettled struct{ Disk bool }
	// Lingers: another process, which nobody sees, may be making the attempt.
	Lingers struct{ Lingering Lingering }
	// Taken: a record that did not come of the attempt is durable: it was found,
	// imported, or gone back to.
	Taken struct{ Record store.Record }
	// Reread: the store has that record, before an attempt.
	Reread struct{ Record store.Record }
	// Corrected: the times of the record are these, by the provider's policy.
	Corrected struct{ Record store.Record }
	// Keyed: the account has a key with that fingerprint, from which its provider mints
	// tokens; "": it has none.
	Keyed struct{ Key string }
	// SetBack: the clock stands before the attempt.
	SetBack struct{}
)

func (Due) event() string          { return "due" }
func (Spend) event() string        { return "nothing newer was found" }
func (Announced) event() string    { return "announced" }
func (NotAnnounced) event() string { return "could not be announced" }
func (Moved) event() string        { return "announced for another spool" }
func (Calls) event() string        { return "the call is made" }
func (Lost) event() string         { return "the connection is lost" }
func (Stored) event() string       { return "its token is stored" }
func (Beside) event() string       { return "its token is kept beside" }
func (NotStored) event() string    { return "its token could not be stored" }
func (Failed) event() string       { return "failed" }
func (Ended) event() string        { return "its end is noted" }
func (NotEnded) event() string     { return "its end could not be noted" }
func (Unanswered) event() string   { return "no answer came" }
func (Marked) event() string       { return "marked as unknown" }
func (Denied) event() string       { return "invalid_grant" }
func (NothingElse) event() string  { return "no other token was found" }
func (Judged) event() string       { return "the refusal is noted" }
func (GivenUp) event() string      { return "it is given up" }
func (Found) event() string        { return "a generation begins, announced" }
func (NotFound) event() string     { return "a generation begins, not announced" }
func (NotSettled) event() string   { return "could not be compared" }
func (Lingers) event() string      { return "may be made elsewhere" }
func (Taken) event() string        { return "another token is stored" }
func (Reread) event() string       { return "the record is read" }
func (Corrected) event() string    { return "its times are corrected" }
func (Keyed) event() string        { return "its key is known" }
func (SetBack) event() string      { return "the clock was set back" }

// Action is what is to be done next.
type Action int

const (
	// Wait: nothing.
	Wait Action = iota
	// Look whether a newer token is elsewhere: nothing is sent.
	Look
	// Repeat the same call: it brings the same outcome, and sends nothing.
	Repeat
	// Compare the store with the spool.
	Compare
	// Mark the intent: nobody knows its outcome.
	Mark
	// Announce an attempt, once every place is proved writable.
	Announce
	// Call the provider, which makes the attempt.
	Call
	// Search for another token, once more: ours is dead.
	Search
	// GoBack to the token before an unproven one.
	GoBack
	// End the attempt in the store.
	End
	// Deliver the new token.
	Deliver
	// Plan the account's next turn.
	Plan
	// Again: it has its next turn now.
	Again
	// BackOff: it has its next turn after a pause.
	BackOff
	// Replay: its next turn is when the same refresh token may be sent again.
	Replay
	// Await a login that is open: its next turn is when that is over, or its token
	// about to die.
	Await
	// Rest: a person has paused the account. It has no next turn before that is over.
	Rest
)

var does = map[Action]string{
	Wait: "nothing", Look: "look for a newer token", Repeat: "the same call again; nothing is sent", Compare: "compare with the spool",
	Mark: "mark it as unknown", Announce: "prove all places writable, announce", Call: "make the call", Search: "look for another token again",
	GoBack: "go back to the one before", End: "note its end", Deliver: "deliver, free the slot, plan", Plan: "plan",
	Again: "due now", BackOff: "due after a pause", Replay: "due when it may be sent again",
	Await: "due when the login is over, or shortly before the token dies", Rest: "not due before it is resumed",
}

func (a Action) String() string { return does[a] }
