package sink

import (
	"context"
	"iter"
	"strconv"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// source is where what is newest of one kind comes from: the accounts' tokens,
// or the alerts.
type source interface {
	// load returns what is newest under the name, or [store.ErrNotFound] if
	// there is nothing of it that goes to this sink.
	load(ctx context.Context, name string) (item, error)
	// list returns everything that goes to this sink, ordered by name. What
	// can't be read is named by the error, beside which the others are
	// returned; nil means that nothing could be read.
	list(ctx context.Context) (iter.Seq[thing], error)
	// lacks says whether a sink of which the ledger holds has still has to get
	// the edition that became durable at since.
	lacks(e edition, since time.Time, has store.Delivery) bool
}

// sources are what goes to a sink, by its kind.
type sources map[Kind]source

// thing is the newest token of one account, or the newest state of one alert,
// without what is in it.
type thing struct {
	// name of the account, or the alert's key.
	name string
	edition
	// since is when it became durable.
	since    time.Time
	provider string
	// over: an alert that lasts no longer.
	over bool
}

// item is a thing with what is in it.
type item struct {
	thing
	// dead: nobody can use it; the version that replaces it is on its way.
	dead bool
	// expiry of the access token; zero: nobody knows, or it is none.
	expiry time.Time
	// deliver makes one try to bring it to the sink.
	deliver func(ctx context.Context, has store.Delivery, wanted wish) error
}

// edition tells two versions of a thing apart, even where a restored backup
// made the supervisor use a version's number again.
type edition struct {
	version uint64
	stored  int64
}

// key names one account's tokens, or one alert, on their way to a sink.
type key struct {
	kind Kind
	name string
}

func (k key) isToken() bool { return k.kind == KindToken }

// String is for people.
func (k key) String() string {
	if k.isToken() {
		return "account " + strconv.Quote(k.name)
	}
	return "alert " + strconv.Quote(k.name)
}

// newest is what is newest of it, for people. The number of an alert's version
// says nothing to them.
func (k key) newest(version uint64) string {
	if k.isToken() {
		return "version " + strconv.FormatUint(version, 10) + " of " + k.String()
	}
	return "the newest state of " + k.String()
}

// wish is what a person wants of a delivery.
type wish struct {
	// onceMore: though the sink may have it.
	onceMore bool
	// over is what it is to be written over, though nobody here knows that.
	over sight
}

// sight is what a destination held when a person wanted an edition written over it.
// Another edition, or what has been put there since, he has not seen.
type sight struct {
	edition
	held string
}

var (
	noWish   = wish{}
	onceMore = wish{onceMore: true}
)
