package sink

import (
	"context"
	"iter"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// source is where a line's newest things come from: the accounts' tokens, or
// the alerts.
type source interface {
	// load returns what is newest under key, or [store.ErrNotFound] if there
	// is nothing of that key that goes to this sink.
	load(ctx context.Context, key string) (item, error)
	// list returns everything that goes to this sink, ordered by key. What
	// can't be read is named by the error, beside which the others are
	// returned; nil means that nothing could be read.
	list(ctx context.Context) (iter.Seq[thing], error)
	// lacks says whether a sink of which the ledger holds has still has to get
	// the edition that became durable at since.
	lacks(e edition, since time.Time, has store.Delivery) bool
}

// thing is the newest token of one account, or the newest state of one alert,
// without what is in it.
type thing struct {
	// key is an account's name or an alert's key. Only the latter has a ':'.
	key string
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
	// deliver makes one try to bring it to the sink.
	deliver func(ctx context.Context, has store.Delivery, wanted wish) error
}

// edition tells two versions of a thing apart, even where a restored backup
// made the supervisor use a version's number again.
type edition struct {
	version uint64
	stored  int64
}

// tokens is the source of the accounts' tokens.
type tokens struct{ w *Worker }

func (s tokens) load(ctx context.Context, account string) (item, error) {
	rec, err := s.w.cfg.Store.Load(ctx, account)
	if err != nil {
		return item{}, err
	}
	if !deliverable(rec) {
		return item{}, store.ErrNotFound
	}
	it := s.item(rec)
	// A consumer that has nothing yet is better off than with a token that is
	// dead: it waits, as ours does, for the refresh.
	it.dead = !rec.Token.Valid(s.w.cfg.Wall())
	return it, nil
}

// deliverable: a record may hold a refresh token alone, for which an access
// token is still asked.
func deliverable(rec store.Record) bool { return !rec.Token.AccessToken.IsZero() }

func (s tokens) list(ctx context.Context) (iter.Seq[thing], error) {
	heads, err := s.w.cfg.Store.Heads(ctx)
	if err != nil && heads == nil {
		return nil, err
	}
	return func(yield func(thing) bool) {
		for _, h := range heads {
			if s.w.Takes(h.Account) && !yield(s.thing(h)) {
				return
			}
		}
	}, err
}

func (s tokens) thing(h store.Head) thing {
	return thing{
		key: h.Account, provider: h.Provider, since: h.StoredAt,
		edition: edition{h.Version, h.StoredAt.UnixNano()},
	}
}

// lacks needs the times only after a backup was restored: the version numbers
// in it are used a second time.
func (s tokens) lacks(e edition, since time.Time, has store.Delivery) bool {
	return has.Version < e.version || since.After(has.At)
}

func (s tokens) item(rec store.Record) item {
	return item{
		thing: s.thing(store.Head{Account: rec.Account, Provider: rec.Provider, Version: rec.Version, StoredAt: rec.StoredAt}),
		deliver: func(ctx context.Context, has store.Delivery, wanted wish) error {
			if err := s.w.mayWrite(ctx, rec, has, wanted); err != nil {
				return err
			}
			d := s.w.delivery(rec)
			d.Again = wanted != noWish
			return s.w.cfg.Sink.Deliver(ctx, d)
		},
	}
}

func (w *Worker) delivery(rec store.Record) Delivery {
	return Delivery{
		ID:      deliveryID(w.cfg.Name, rec.Account, rec.Version, rec.StoredAt),
		Version: rec.Version, Document: w.document(rec),
	}
}

// document is what the sink may see of the record.
func (w *Worker) document(rec store.Record) format.Document {
	d := rec.Document()
	if !w.cfg.IncludeRefreshToken {
		d.RefreshToken, d.IDToken = sdk.Secret{}, sdk.Secret{}
		return d
	}
	if w.cfg.Credentials != nil {
		d.ClientID, d.ClientSecret = w.cfg.Credentials(rec.Account)
	}
	return d
}
