package sink

import (
	"context"
	"errors"
	"fmt"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// wishes are what people want delivered once more.
type wishes struct {
	*state
	sources
}

// add has what goes under the name delivered once more, or, for "", everything
// that is not over. It returns how much that is.
func (w wishes) add(ctx context.Context, name string, wanted wish) (n int, err error) {
	keys, err := w.keys(ctx, name)
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

func (w wishes) keys(ctx context.Context, name string) (keys []key, err error) {
	for kind, from := range w.sources {
		if name != "" {
			k := key{kind, name}
			switch _, err := from.load(ctx, name); {
			case errors.Is(err, store.ErrNotFound):
			case err != nil:
				return nil, err
			default:
				keys = append(keys, k)
			}
			continue
		}
		things, err := from.list(ctx)
		if things == nil && err != nil {
			return nil, err
		}
		for th := range things {
			if !th.over {
				keys = append(keys, key{kind, th.name})
			}
		}
	}
	return keys, nil
}
