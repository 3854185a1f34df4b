package sink

import (
	"context"
	"errors"
	"fmt"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// ErrExpired: what is newest can be used by nobody, so that it is not delivered.
var ErrExpired = errors.New("its access token has expired")

// wishes are what people want delivered once more.
type wishes struct {
	*state
	sources
}

// add has what goes under the name delivered once more, or, for "", everything
// that is not over. It returns how much that is.
func (w wishes) add(ctx context.Context, name string, wanted wish) (n int, err error) {
	keys, err := w.keys(ctx, name)
	if errors.Is(err, ErrExpired) {
		return 0, err
	}
	if err != nil {
		return 0, fmt.Errorf("sink %q: can't read what there is to deliver: %w", w.Name, err)
	}
	if len(keys) == 0 && name != "" {
		return 0, fmt.Errorf("sink %q gets nothing of %q: no account of that name goes there, or it has no token yet; tokenkeeper status lists the accounts", w.Name, name)
	}
	if by := w.whoDisabled(); by != "" {
		return 0, fmt.Errorf("sink %q was disabled by %s: enable it first with: tokenkeeper sinks enable %s", w.Name, by, w.Name)
	}
	for _, k := range keys {
		w.want(k, wanted)
	}
	return len(keys), nil
}

// overwrite has the newest token of an account delivered over what the destination
// holds now.
func (w wishes) overwrite(ctx context.Context, account string) (n int, err error) {
	wanted := onceMore
	if w.gets(account) {
		rec, err := w.Store.Load(ctx, account)
		if err == nil {
			wanted.over, err = readBack{w.setup}.sight(ctx, rec)
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return 0, err
		}
	}
	return w.add(ctx, account, wanted)
}

func (w wishes) keys(ctx context.Context, name string) (keys []key, err error) {
	for kind, from := range w.sources {
		if name != "" {
			switch it, err := from.load(ctx, name); {
			case errors.Is(err, store.ErrNotFound):
			case err != nil:
				return nil, err
			case it.dead:
				return nil, fmt.Errorf("account %q: %w, and is delivered to nobody; the next one is, once it is refreshed: tokenkeeper refresh %s", name, ErrExpired, name)
			default:
				keys = append(keys, key{kind, name})
			}
			continue
		}
		things, err := from.list(ctx)
		if things == nil && err != nil {
			return nil, err
		}
		for th := range things {
			if th.over {
				continue
			}
			if it, err := from.load(ctx, th.name); errors.Is(err, store.ErrNotFound) || it.dead {
				continue // nobody gets it
			}
			keys = append(keys, key{kind, th.name})
		}
	}
	return keys, nil
}
