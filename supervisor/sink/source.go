package sink

import (
	"context"
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
	list(ctx context.Context) ([]item, error)
}

// item is the newest token of one account, or the newest state of one alert.
type item struct {
	// key is an account's name or an alert's key. Only the latter has a ':'.
	key string
	edition
	// since is when it became durable.
	since    time.Time
	provider string
	// lacks says whether a sink of which the ledger holds has still has to get
	// it.
	lacks func(has store.Delivery) bool
	// deliver makes one try to bring it to the sink; again: a person wants
	// that though the sink may have it.
	deliver func(ctx context.Context, has store.Delivery, again bool) error
	// over: an alert that lasts no longer.
	over bool
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
	return s.item(rec), nil
}

func (s tokens) list(ctx context.Context) ([]item, error) {
	records, err := s.w.cfg.Store.List(ctx)
	if err != nil && records == nil {
		return nil, err
	}
	items := make([]item, 0, len(records))
	for _, rec := range records {
		if s.w.Takes(rec.Account) {
			items = append(items, s.item(rec))
		}
	}
	return items, err
}

func (s tokens) item(rec store.Record) item {
	return item{
		key: rec.Account, provider: rec.Provider, since: rec.StoredAt,
		edition: edition{rec.Version, rec.StoredAt.UnixNano()},
		lacks:   func(has store.Delivery) bool { return behind(has, rec) },
		deliver: func(ctx context.Context, _ store.Delivery, again bool) error {
			d := s.w.delivery(rec)
			d.Again = again
			return s.w.cfg.Sink.Deliver(ctx, d)
		},
	}
}

// behind says whether the sink lacks rec. The times matter only after a backup
// was restored: the version numbers in it are used a second time.
func behind(has store.Delivery, rec store.Record) bool {
	return has.Version < rec.Version || rec.StoredAt.After(has.At)
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
