package backend

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/alert"
)

// alerts lets a person see and hush the alerts.
type alerts struct{ Config }

func (b alerts) Alerts(ctx context.Context) (control.Alerts, error) {
	known, err := b.Engine.Alerts(ctx)
	if err != nil {
		return control.Alerts{}, control.Errorf(control.CodeUnavailable, "%v", err)
	}
	all := control.Alerts{Now: b.Wall(), Alerts: []event.Alert{}}
	all.Alerts = append(all.Alerts, openAlerts(known)...)
	over := slices.DeleteFunc(known, func(a event.Alert) bool { return a.State != event.AlertRecovered })
	slices.SortFunc(over, func(x, y event.Alert) int { return cmp.Or(y.ChangedAt.Compare(x.ChangedAt), cmp.Compare(x.Key, y.Key)) })
	all.Alerts = append(all.Alerts, over...)
	return all, nil
}

// openAlerts are those that last, the oldest first. It leaves all as it is.
func openAlerts(all []event.Alert) []event.Alert {
	var open []event.Alert
	for _, a := range all {
		if a.State != event.AlertRecovered {
			open = append(open, a)
		}
	}
	slices.SortFunc(open, func(x, y event.Alert) int { return cmp.Or(x.Since.Compare(y.Since), cmp.Compare(x.Key, y.Key)) })
	return open
}

func (b alerts) AcknowledgeAlert(ctx context.Context, key string) (event.Alert, error) {
	a, err := b.Engine.Acknowledge(ctx, key)
	return a, b.hushFault(ctx, err)
}

func (b alerts) SilenceAlert(ctx context.Context, key string, during time.Duration) (event.Alert, error) {
	a, err := b.Engine.Silence(ctx, key, b.Wall().Add(during))
	return a, b.hushFault(ctx, err)
}

func (b alerts) ResumeAlert(ctx context.Context, key string) (event.Alert, error) {
	a, err := b.Engine.Resume(ctx, key)
	return a, b.hushFault(ctx, err)
}

// hushFault is the answer to a call about an alert that failed.
func (b alerts) hushFault(ctx context.Context, err error) error {
	var closed alert.ErrNotOpen
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &closed):
		return control.Errorf(control.CodeUnavailable, "%v", err)
	}
	all, _ := b.Engine.Alerts(ctx)
	var keys []string
	for _, a := range openAlerts(all) {
		keys = append(keys, a.Key)
	}
	return control.Errorf(control.CodeNotFound, "%v%s", closed, control.Hint(closed.Key, keys, "alerts"))
}
