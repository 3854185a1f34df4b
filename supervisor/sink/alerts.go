package sink

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// alerts is the source of the alerts.
type alerts struct{ *setup }

func (s alerts) load(ctx context.Context, name string) (item, error) {
	a, ok, err := s.Alerts.Alert(ctx, name)
	switch {
	case err != nil:
		return item{}, err
	case !ok || !s.wants(a):
		return item{}, fmt.Errorf("alert %q: %w", name, store.ErrNotFound)
	}
	return s.item(a), nil
}

func (s alerts) list(ctx context.Context) (iter.Seq[thing], error) {
	all, err := s.Alerts.Alerts(ctx)
	if err != nil {
		return nil, err
	}
	return func(yield func(thing) bool) {
		for _, a := range all {
			if s.wants(a) && !yield(s.thing(a)) {
				return
			}
		}
	}, nil
}

func (s alerts) wants(a event.Alert) bool { return s.WantsAlert == nil || s.WantsAlert(a) }

func (s alerts) thing(a event.Alert) thing {
	return thing{
		name: a.Key, provider: a.Provider, since: a.ChangedAt,
		edition: edition{a.Version, a.ChangedAt.UnixNano()},
		over:    a.State == event.AlertRecovered,
	}
}

// lacks knows that what was newest in a list may be taken from it. An alert that
// is dropped takes its line of the ledger along, whatever number it has when it
// is raised again.
func (s alerts) lacks(e edition, since time.Time, has store.Delivery) bool {
	return has.Version < e.version || since.After(has.At)
}

func (s alerts) item(a event.Alert) item {
	return item{
		thing: s.thing(a),
		deliver: func(ctx context.Context, has store.Delivery, _ wish) error {
			return s.notify(ctx, s.notice(a, has))
		},
	}
}

// notice is what the sink is told of the alert. One that is over and that
// the sink never heard of says since when it lasted.
func (s alerts) notice(a event.Alert, has store.Delivery) Notice {
	unheard := has.Version == 0 || has.At.Before(a.Since)
	if a.State == event.AlertRecovered && unheard {
		a.Message += fmt.Sprintf(" (it lasted from %s to %s, and this sink could not be told before)",
			a.Since.UTC().Format(time.RFC3339), a.ChangedAt.UTC().Format(time.RFC3339))
	}
	return Notice{ID: deliveryID(s.Name, a.Key, a.Version, a.ChangedAt), Kind: KindAlert, Alert: &a}
}
