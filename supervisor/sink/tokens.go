package sink

import (
	"context"
	"iter"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// tokens is the source of the accounts' tokens.
type tokens struct{ *setup }

func (s tokens) load(ctx context.Context, account string) (item, error) {
	if !s.gets(account) {
		return item{}, store.ErrNotFound
	}
	rec, err := s.Store.Load(ctx, account)
	if err != nil {
		return item{}, err
	}
	if !deliverable(rec) {
		return item{}, store.ErrNotFound
	}
	it := s.item(rec)
	// A consumer that has nothing yet is better off than with a token that is
	// dead: it waits, as ours does, for the refresh.
	it.dead = !rec.Token.Valid(s.Wall())
	return it, nil
}

// deliverable: a record may hold a refresh token alone, for which an access
// token is still asked.
func deliverable(rec store.Record) bool { return !rec.Token.AccessToken.IsZero() }

func (s tokens) list(ctx context.Context) (iter.Seq[thing], error) {
	heads, err := s.Store.Heads(ctx)
	if err != nil && heads == nil {
		return nil, err
	}
	return func(yield func(thing) bool) {
		for _, h := range heads {
			if s.gets(h.Account) && !yield(s.thing(h)) {
				return
			}
		}
	}, err
}

func (s tokens) thing(h store.Head) thing {
	return thing{
		name: h.Account, provider: h.Provider, since: h.StoredAt,
		edition: edition{h.Version, h.StoredAt.UnixNano()},
	}
}

// lacks needs the times only after a backup was restored: the version numbers
// in it are used a second time. A sink that is configured to get tokens otherwise lacks
// the one that it has.
func (s tokens) lacks(e edition, since time.Time, has store.Delivery) bool {
	return has.Version < e.version || since.After(has.At) || s.reshaped(has)
}

func (s tokens) item(rec store.Record) item {
	return item{
		thing:  s.thing(store.Head{Account: rec.Account, Provider: rec.Provider, Version: rec.Version, StoredAt: rec.StoredAt}),
		expiry: rec.Token.Expiry(),
		deliver: func(ctx context.Context, has store.Delivery, wanted wish) error {
			if err := readBack(s).mayWrite(ctx, rec, has, wanted); err != nil {
				return err
			}
			d := s.delivery(rec)
			d.Again, d.Reshaped = wanted != noWish, s.reshaped(has) && readBack(s).isOurs(ctx, rec, has)
			return s.Sink.Deliver(ctx, d)
		},
	}
}
