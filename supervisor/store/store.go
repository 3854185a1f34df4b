// Package store keeps records: what the supervisor knows of each account's
// token, durable before anybody else sees it.
package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store/journal"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store/mirror"
)

// Errors that every [Store] returns, wrapped with what happened to whom.
var (
	// ErrNotFound: there is no record of that account.
	ErrNotFound = errors.New("no record of this account")
	// ErrConflict: what the change rests on is not what stands: the record is at
	// another version or in another grant, or the intent is another attempt's. Nothing
	// was written.
	ErrConflict = errors.New("the record has changed meanwhile")
	// ErrUnknown: the change may have been made, or not: see [Store]. The engines of one
	// machine never return it: they know what counts in this process, and say [ErrDisk].
	ErrUnknown = errors.New("nobody knows whether the store has taken it")
	// ErrLineage: the record is not known to descend from the one that stands: it
	// was obtained with another refresh token, or in another grant. It is an
	// ErrConflict too, and nothing was written.
	ErrLineage = fmt.Errorf("%w: it does not descend from the version that stands", ErrConflict)
	// ErrDisk: it could not be made durable. Nothing has changed; reads go on,
	// and each later write tries anew. If the process dies before one succeeds, the
	// next one may find what was refused, as a whole: an attempt's id tells.
	ErrDisk = mirror.ErrDisk
	// ErrInUse: another supervisor has this state directory.
	ErrInUse = mirror.ErrInUse
	// ErrNewerFormat: a newer program wrote this store. Nothing was written.
	ErrNewerFormat = journal.ErrNewerFormat
	// ErrDamaged: what is stored can't be read. Nothing was written.
	ErrDamaged = journal.ErrDamaged
	// ErrMoved: the store goes on elsewhere. Nothing was written.
	ErrMoved = errors.New("the store was moved")
	// ErrClosed: Close was called.
	ErrClosed = mirror.ErrClosed
)

// Store holds the record, the intent and the delivery ledger of every account.
//
// All methods are safe for concurrent use, and so are several handles on one state:
// each change names what it was made from, a [Basis], an attempt, a state of its own,
// and is refused with ErrConflict if something else stands by then. What no change
// can take from another, or what the newest word is right about, says so.
//
// When a method that writes returns nil the change is durable: it survives the death
// of the process and of the machine. When it returns an error nothing has changed,
// but with ErrUnknown: it may have, as when the connection to a server is lost before
// its answer. It is settled by the time that the same handle's next call about that
// account, or alert, returns without ErrUnknown, and so never made behind the back
// of who has read back: nothing is sent or said before, see [Made]. An attempt tells by
// its id: Intent shows it while it stands, Load the version that it became; all
// else shows by itself. Each change may be made again: one that was made is then
// refused, or changes nothing.
//
// The exceptions are MarkDelivered and MarkTried, which may become durable up to a
// second later (for a version that is held, after its Commit): losing one means
// delivering once more.
//
// A context that has ended refuses a write; one that ends later does not cut
// it off, because the caller would not know whether it happened.
type Store interface {
	// Load returns the account's record, or ErrNotFound. Beside that stands the Health
	// of one that never had a record and whose key was refused.
	Load(ctx context.Context, account string) (Record, error)
	// What a reader gets it shares with others, and must not change in place.
	//
	// Heads returns what there is, ordered by account, without the tokens.
	Heads(ctx context.Context) ([]Head, error)

	// Intend announces an attempt: from its return until Commit or Abandon,
	// the account's refresh token may be spent. It proves that the disk can be
	// written. ErrConflict if the record is not at in.Version and in.Grant (0: an older
	// program's), or the intent of another attempt stands. A new account is at version 0.
	Intend(ctx context.Context, in Intent) error
	// Intent returns the account's standing intent; ok is false if none
	// stands.
	Intent(ctx context.Context, account string) (in Intent, ok bool, err error)
	// Replace puts in in the place of the standing intent, whose attempt must
	// be attempt, and which rests on the same as in does, or else the record must be at
	// that (a store that was restored may have them apart); ErrConflict otherwise. It
	// marks an attempt ambiguous and announces its replay, and a login, whose intent
	// carries the one that stood as its Before.
	Replace(ctx context.Context, attempt string, in Intent) error

	// Commit stores rec, whose Version must be one more than the stored
	// record's (1 for a new account), and ends the account's intent in the
	// same transaction, but for what [Intent.LeftBy] says: an import of the very token
	// that an attempt has sent does not end that. If an intent stands, it must be the one of
	// rec.Attempt; ErrConflict otherwise. ErrLineage, which is an ErrConflict, if
	// it does not descend from the stored record: of origin refresh, its Parent
	// must be that one's refresh token and its Grant that one's; of a login or
	// import, its Grant must be the next; all others leave the Grant as it is, and
	// have no Parent. One with the same token may tell the same of where it comes
	// from.
	Commit(ctx context.Context, rec Record) error
	// Hold shows rec to Load and List though it could not be committed
	// (ErrDisk), marked as Held, so that those who need its token have it: the
	// broker's answer stands in the spool meanwhile. Its Version must be one
	// more than the stored record's; ErrConflict otherwise, and ErrLineage, as of
	// Commit. A Commit of that
	// version takes its place, and the death of the process ends it.
	Hold(ctx context.Context, rec Record) error
	// Abandon ends the intent of attempt without a new version and stores the
	// record's Health in the same transaction; without a record it keeps h only if that
	// says that a key was refused, until a Commit. The intent's Before, if it has
	// one, stands again. ErrConflict if the record is not at the version whose Health
	// it is, or the intent is another's; no intent at all is fine.
	Abandon(ctx context.Context, account, attempt string, at Basis, h Health) error
	// PutBeside makes c the Candidate of the account's record, in the place of any
	// other; nil: of none. In the same transaction it ends the intent of attempt as
	// Abandon does, if it stands; it rests on none: who has logged in waits beside
	// whatever is attempted. The version stays. ErrNotFound if there is no
	// record, ErrConflict if it is not at that version.
	PutBeside(ctx context.Context, account, attempt string, at Basis, c *Candidate) error

	// SetAside keeps an answer that did not become a version beside the account's
	// record, for EvidenceLife, and ends the intent of its attempt in the same
	// transaction, if that is the one that stands; its Before stands again then.
	// At most 16 are kept, the newest; one of the same attempt is replaced. It rests on
	// no version: it is added to what is kept beside whichever stands, and takes nothing
	// away. ErrNotFound if there is no record.
	SetAside(ctx context.Context, account string, e Evidence) error

	// MarkDelivered notes what a sink has of an account, and that the newest
	// try succeeded: of d, only Sink, Account, Version, At and Latency count.
	// A version below the noted one changes nothing, and so whoever notes last.
	MarkDelivered(ctx context.Context, d Delivery) error
	// MarkTried notes a try that did not succeed. What the sink has stays as
	// it is noted. A try of a version below the newest that was tried changes
	// nothing.
	MarkTried(ctx context.Context, t Tried) error
	// Delivery returns one line of the ledger, and costs the same however long
	// that is; the zero Delivery if there is none.
	Delivery(ctx context.Context, sink, account string) (Delivery, error)

	// PutLogin keeps the login of an account that a person has begun. There is one
	// for each account: ErrConflict while another one is open, which it is before
	// its Until. An Intend or Replace whose intent names its State as its Login
	// ends it in the same transaction. Of the same State the newest counts: one person
	// hands in, one keeper polls.
	PutLogin(ctx context.Context, l Login) error
	// Login returns the account's begun login, open or not; ok is false if there is
	// none.
	Login(ctx context.Context, account string) (l Login, ok bool, err error)
	// Logins returns those of all accounts, ordered by account.
	Logins(ctx context.Context) ([]Login, error)
	// DropLogin ends the login with that State. Any other stays; none is fine.
	DropLogin(ctx context.Context, account, state string) error

	// Requests returns those that the account has made of late, as they were put
	// last: with an announcement ([Intent.Requests]), or by PutRequests.
	Requests(ctx context.Context, account string) ([]Request, error)
	// PutRequests makes all the account's requests, in the place of any others. They
	// need no record. The newest word counts: whoever takes an account reads them first,
	// and one that is lost makes a broker be asked once more in an hour than it wants.
	PutRequests(ctx context.Context, account string, all []Request) error

	// PutPause makes p the account's pause, in the place of was; nil: it has none.
	// It needs no record, and stays whatever becomes of one. ErrConflict if another one
	// stands: nobody's end of a pause, by its time or his word, ends the one after it.
	PutPause(ctx context.Context, account string, was, p *Pause) error
	// Pause returns the account's pause; ok is false if it has none.
	Pause(ctx context.Context, account string) (p Pause, ok bool, err error)
	// Rename puts what is stored of the account from under the name to, in one
	// transaction: its record with its history, its requests, and an attempt of which
	// nobody knows the outcome and which is marked so (Intent.AmbiguousSince). The
	// ledger forgets both, because no sink has the token under its new name, and a
	// login that was begun for from is over. ErrNotFound if from has no record;
	// ErrConflict if that is not at that version, if to has a record, if an attempt of to
	// stands, or one of from that is not marked: its answer may wait in the spool under
	// the old name.
	Rename(ctx context.Context, from, to string, at Basis) error
	// Forget removes all that is stored of an account, and what the ledger says of it.
	// ErrNotFound if there is nothing; ErrConflict if its record is not at that version,
	// or the attempt that stands is another one ("": none may).
	Forget(ctx context.Context, account, attempt string, at Basis) error
	// Passed is when Rename or Forget took a login away from the account's name, the last
	// time; zero: never. It stays, whoever gets the name: destinations may still hold
	// that login under it. Only if a Rename brings that very login back, and no other had
	// the name meanwhile, it is what it was before.
	Passed(ctx context.Context, account string) (time.Time, error)

	// SaveAlert stores the newest state of an alert, by its key. The ledger
	// of who was told of it has the key in the place of the account. It rests on nothing
	// stored, and the newest counts: an alert is derived from how all stands, at each look.
	SaveAlert(ctx context.Context, a event.Alert) error
	// Alerts returns those that are stored, ordered by key.
	Alerts(ctx context.Context) ([]event.Alert, error)
	// DropAlert forgets an alert and what the ledger says of it. An unknown
	// key is fine. ErrConflict if it is at another version: raised anew, perhaps.
	DropAlert(ctx context.Context, key string, version uint64) error

	// Close releases the store.
	Close() error
}

// Made is the outcome of a change that was made with err: if that is ErrUnknown, stands
// reads back whether it was.
func Made(err error, stands func() (bool, error)) error {
	if !errors.Is(err, ErrUnknown) {
		return err
	}
	made, unread := stands()
	if made {
		return nil
	}
	return errors.Join(err, unread)
}

// Tried is a try that brought nothing to a sink. Its fields are those of
// [Delivery].
type Tried struct {
	Sink    string
	Account string
	// Version that was tried, and when; zero: now.
	Version uint64
	At      time.Time
	// Result is ResultFailed or ResultRefused.
	Result   string
	Error    string
	Failures int
}
